package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/internal/apitest"
	"github.com/khronicle/khronicle/workflows"
)

// shopKubeconfig is the path of a kubeconfig for an API server with one check and its state.
func shopKubeconfig(t *testing.T) string {
	t.Helper()
	lastRun := metav1.NewTime(time.Now())
	cart := metav1.ObjectMeta{Namespace: "shop", Name: "cart"}
	return apitest.New(
		&khv1.KuberhealthyCheck{TypeMeta: khType(khv1.CheckKind), ObjectMeta: cart},
		&khv1.KuberhealthyState{TypeMeta: khType(khv1.StateKind), ObjectMeta: cart, Spec: khv1.WorkloadDetails{
			Errors: []string{"cart is empty"}, Namespace: "shop", AuthoritativePod: "worker-1", LastRun: &lastRun,
		}},
	).WithoutStreamingLists().Kubeconfig(t)
}

func khType(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: khv1.GroupVersion.String(), Kind: kind}
}

// free returns an address on which nothing listens.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// launch runs a command until the test ends; stop returns what it returned.
func launch(t *testing.T, args ...string) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(io.Discard)
	ended := make(chan error, 1)
	go func() { ended <- root.ExecuteContext(ctx) }()
	t.Cleanup(cancel)
	return func() error { cancel(); return <-ended }
}

// get asks again until the process answers with that status, and returns the body.
func get(t *testing.T, url string, status int) string {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	last := "no answer"
	for {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err == nil && response.StatusCode == status {
				return string(body)
			}
			last = fmt.Sprintf("%s: %s", response.Status, body)
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("GET %s: %s, want %d", url, last, status)
		}
	}
}

// A process without Temporal runs, and its /readyz says what it waits for. It ends without an error when its context ends.
func TestRolesSayThatTheyWaitForTemporal(t *testing.T) {
	for name, flag := range map[string]string{"worker": "--operations-listen", "starter": "--operations-listen", "reportapi": "--listen"} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			address := free(t)
			stop := launch(t, name, "--kubeconfig", shopKubeconfig(t), flag, address, "--log-level", "error")
			get(t, "http://"+address+"/healthz", http.StatusOK)
			get(t, "http://"+address+"/readyz?exclude=temporal", http.StatusOK)
			var answers map[string]string
			if err := json.Unmarshal([]byte(get(t, "http://"+address+"/readyz", http.StatusServiceUnavailable)), &answers); err != nil {
				t.Fatal(err)
			}
			if answers["kubernetes"] != "ok" || answers["informers"] != "ok" || answers["temporal"] == "ok" || answers["temporal"] == "" {
				t.Errorf("readiness %v, want that of Temporal alone to fail", answers)
			}
			if metrics := get(t, "http://"+address+"/metrics", http.StatusOK); !strings.Contains(metrics, "go_goroutines") {
				t.Errorf("metrics without those of the process:\n%.500s", metrics)
			}
			if err := stop(); err != nil {
				t.Errorf("ended with %v, want an orderly end", err)
			}
		})
	}
}

// The page shows the cluster although Temporal is down: it needs the API server alone.
func TestReportAPIServesTheStatusPageWithoutTemporal(t *testing.T) {
	isolate(t)
	address := free(t)
	stop := launch(t, "reportapi", "--kubeconfig", shopKubeconfig(t), "--listen", address, "--pod-name", "api-1", "--log-level", "error")
	get(t, "http://"+address+"/readyz?exclude=temporal", http.StatusOK)
	var page struct {
		OK            bool
		Errors        []string
		CurrentMaster string
	}
	if err := json.Unmarshal([]byte(get(t, "http://"+address+"/", http.StatusOK)), &page); err != nil {
		t.Fatal(err)
	}
	if page.OK || !cmp.Equal(page.Errors, []string{"cart is empty"}) || page.CurrentMaster != "api-1" {
		t.Errorf("page %+v", page)
	}
	if err := stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestRolesFailWhenTheirAddressIsTaken(t *testing.T) {
	tests := []struct{ role, flag, want string }{
		{"worker", "--operations-listen", "listen for /healthz: "},
		{"starter", "--operations-listen", "listen for /healthz: "},
		{"reportapi", "--listen", "listen for reports: "},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			isolate(t)
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			_, err = execute(t, tt.role, "--kubeconfig", shopKubeconfig(t), tt.flag, listener.Addr().String(), "--log-level", "error")
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want %s…", err, tt.want)
			}
		})
	}
}

// All roles and a Temporal server in one process: it is ready as soon as that server is, and takes it along at its end.
func TestDev(t *testing.T) {
	binary := temporalBinary(t)
	isolate(t)
	address, temporal, ui := free(t), free(t), free(t)
	port := func(address string) string { return address[strings.LastIndex(address, ":")+1:] }
	stop := launch(t, "dev", "--kubeconfig", apitest.New().Kubeconfig(t), "--listen", address, "--log-level", "error",
		"--temporal", binary, "--state-dir", t.TempDir(), "--temporal-port", port(temporal), "--temporal-ui-port", port(ui))
	ready := get(t, "http://"+address+"/readyz", http.StatusOK)
	if want := `{"informers":"ok","kubernetes":"ok","ledger":"ok","temporal":"ok"}`; strings.TrimSpace(ready) != want {
		t.Errorf("ready with %s, want %s", ready, want)
	}
	awaitWorkerOf(t, temporal, client.DefaultNamespace)
	if err := stop(); err != nil {
		t.Errorf("ended with %v, want an orderly end", err)
	}
	if connection, err := net.Dial("tcp", temporal); err == nil {
		connection.Close()
		t.Error("Temporal is still there")
	}
}

// awaitWorkerOf waits until a worker asks Temporal for work in a namespace.
func awaitWorkerOf(t *testing.T, address, namespace string) {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: address, Namespace: namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		queue, err := c.DescribeTaskQueue(t.Context(), workflows.TaskQueue, enumspb.TASK_QUEUE_TYPE_ACTIVITY)
		if missing := (*serviceerror.NamespaceNotFound)(nil); err != nil && !errors.As(err, &missing) {
			t.Fatal(err)
		}
		if len(queue.GetPollers()) > 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("no worker polls")
		}
	}
}
