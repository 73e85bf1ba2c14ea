package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/khronicle/khronicle/internal/devserver"
	"github.com/khronicle/khronicle/internal/needs"
)

// temporalServer is a server of Temporal's CLI, as it runs beside standalone.
type temporalServer struct {
	binary  string
	options devserver.Options
	process *exec.Cmd
}

func newTemporalServer(t *testing.T) *temporalServer {
	t.Helper()
	port := func() int {
		address := free(t)
		n, err := strconv.Atoi(address[strings.LastIndex(address, ":")+1:])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := &temporalServer{binary: temporalBinary(t), options: devserver.Options{StateDir: t.TempDir(), Port: port(), UIPort: port()}}
	t.Cleanup(func() { s.kill() })
	return s
}

// temporalBinary is the CLI that `make temporal` builds.
func temporalBinary(t *testing.T) string {
	t.Helper()
	binary, err := filepath.Abs("../../bin/temporal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		needs.Missing(t, "this test needs a real Temporal server: %v (make temporal builds it)", err)
	}
	return binary
}

func (s *temporalServer) address() string { return "127.0.0.1:" + strconv.Itoa(s.options.Port) }

func (s *temporalServer) start(t *testing.T) {
	t.Helper()
	s.process = exec.Command(s.binary, s.options.Args()...)
	s.process.Stdout, s.process.Stderr = io.Discard, io.Discard
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
}

// kill ends the server as kill -9 does.
func (s *temporalServer) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill() // or it has ended
	_ = s.process.Wait()
	s.process = nil
}

// readiness returns the answers of /readyz once it has this status.
func readiness(t *testing.T, address string, status int) (answers map[string]string) {
	t.Helper()
	if err := json.Unmarshal([]byte(get(t, "http://"+address+"/readyz", status)), &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

// Temporal comes after the process, and is killed and comes back. The process waits each time. All roles work, on one ledger.
func TestStandaloneWaitsForTemporal(t *testing.T) {
	temporal := newTemporalServer(t)
	isolate(t)
	t.Setenv("TEMPORAL_NAMESPACE", "of-its-own")
	address, ledgerFile := free(t), filepath.Join(t.TempDir(), "ledger.db")
	stop := launch(t, "standalone", "--kubeconfig", shopKubeconfig(t), "--listen", address, "--log-level", "error",
		"--temporal-address", temporal.address(), "--ledger", ledgerFile)
	get(t, "http://"+address+"/readyz?exclude=temporal", http.StatusOK)
	answers := readiness(t, address, http.StatusServiceUnavailable)
	if answers["temporal"] == "ok" || answers["ledger"] != "ok" || answers["kubernetes"] != "ok" || answers["informers"] != "ok" {
		t.Errorf("readiness without Temporal is %v, want that Temporal alone is missing", answers)
	}
	temporal.start(t)
	readiness(t, address, http.StatusOK)
	awaitWorkerOf(t, temporal.address(), "of-its-own")
	if kept := retention(t, temporal.address(), "of-its-own"); kept != namespaceRetention {
		t.Errorf("the namespace has a retention of %s, want %s", kept, namespaceRetention)
	}
	metrics := get(t, "http://"+address+"/metrics", http.StatusOK)
	for _, metric := range []string{"khronicle_ledger_up 1", "kuberhealthy_check{", "temporal_"} {
		if !strings.Contains(metrics, metric) {
			t.Errorf("the one metrics endpoint lacks %s", metric)
		}
	}
	temporal.kill()
	readiness(t, address, http.StatusServiceUnavailable)
	get(t, "http://"+address+"/", http.StatusOK) // the status page needs the cluster alone
	temporal.start(t)
	readiness(t, address, http.StatusOK)
	awaitWorkerOf(t, temporal.address(), "of-its-own")
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("ended with %v, want an orderly end", err)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("the end took %s, more than Kubernetes waits", took)
	}
}

func retention(t *testing.T, address, namespace string) time.Duration {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address, Namespace: namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	described, err := c.WorkflowService().DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	return described.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
}

// Temporal is away for ever: the process does not crash, and ends in order.
func TestStandaloneWithoutTemporalIsAlive(t *testing.T) {
	isolate(t)
	address := free(t)
	stop := launch(t, "standalone", "--kubeconfig", shopKubeconfig(t), "--listen", address, "--log-level", "error",
		"--ledger", filepath.Join(t.TempDir(), "ledger.db"))
	get(t, "http://"+address+"/readyz?exclude=temporal", http.StatusOK)
	get(t, "http://"+address+"/healthz", http.StatusOK)
	if err := stop(); err != nil {
		t.Errorf("ended with %v, want an orderly end", err)
	}
}

func TestStandaloneRefusesWrongValues(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no ledger", nil, "--ledger: is empty; name a file on the volume, such as sqlite:/var/lib/khronicle/ledger.db [KHRONICLE_LEDGER]"},
		{"address without a port", []string{"--ledger", "a.db", "--temporal-address", "temporal"}, `--temporal-address: "temporal" is not an address such as 127.0.0.1:7233`},
		{"start burst", []string{"--ledger", "a.db", "--start-burst", "0"}, "--start-burst: 0 is not at least 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			isolate(t)
			if _, err := execute(t, append([]string{"standalone"}, tt.args...)...); errorText(err) != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// A ledger that cannot be opened stops no run and not the process. /readyz names it.
func TestStandaloneRunsWhileItsLedgerIsNotOpen(t *testing.T) {
	isolate(t)
	address := free(t)
	folder := filepath.Join(t.TempDir(), "missing")
	stop := launch(t, "standalone", "--kubeconfig", shopKubeconfig(t), "--listen", address, "--log-level", "error",
		"--ledger", filepath.Join(folder, "ledger.db"))
	get(t, "http://"+address+"/readyz?exclude=temporal&exclude=ledger", http.StatusOK)
	if answers := readiness(t, address, http.StatusServiceUnavailable); answers["ledger"] == "ok" || answers["ledger"] == "" {
		t.Errorf("readiness is %v, want that the ledger is missing", answers)
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	get(t, "http://"+address+"/readyz?exclude=temporal", http.StatusOK)
	if err := stop(); err != nil {
		t.Errorf("ended with %v, want an orderly end", err)
	}
}

// The backup of Temporal's database that docs/ledger.md shows: it is made while the server runs, and a server continues from it.
func TestTemporalGoesOnFromABackup(t *testing.T) {
	temporal := newTemporalServer(t)
	temporal.start(t)
	c := dialWhenReady(t, temporal.address())
	if _, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "before", TaskQueue: "nobody"}, "Waiting"); err != nil {
		t.Fatal(err)
	}
	restored := newTemporalServer(t)
	vacuumInto(t, filepath.Join(temporal.options.StateDir, "temporal.db"), filepath.Join(restored.options.StateDir, "temporal.db"))
	temporal.kill()
	restored.start(t)
	c = dialWhenReady(t, restored.address())
	described, err := c.DescribeWorkflowExecution(t.Context(), "before", "")
	if err != nil || described.GetWorkflowExecutionInfo().GetType().GetName() != "Waiting" {
		t.Errorf("the run that was open is %v, error %v", described, err)
	}
	if err := c.SignalWorkflow(t.Context(), "before", "", "report", "ok"); err != nil {
		t.Errorf("it takes no signal: %v", err)
	}
}

func vacuumInto(t *testing.T, from, to string) {
	t.Helper()
	db, err := sql.Open("sqlite", from)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `VACUUM INTO $1`, to); err != nil {
		t.Fatal(err)
	}
}

// dialWhenReady connects once the server answers.
func dialWhenReady(t *testing.T, address string) client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	options := client.Options{HostPort: address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}
	for {
		c, err := client.DialContext(ctx, options)
		if err == nil {
			t.Cleanup(c.Close)
			return c
		}
		select {
		case <-ctx.Done():
			t.Fatalf("Temporal does not answer: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
