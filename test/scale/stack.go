//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/test/chaos/link"
	"github.com/khronicle/khronicle/test/wait"
)

// Ports of the stack, all on 127.0.0.1. The end-to-end tests and the crash tests have others, so that all can run side by
// side.
const (
	apiServerPort = "16743"
	temporalPort  = 17533
	temporalUI    = 18533
	reportPort    = "18380"
	workerPort    = "18381"
	starterPort   = "18382"
	postgresPort  = "18385"
)

const (
	clusterName = "scale"
	// startTimeout is how long a part may take until it can work.
	startTimeout = time.Minute
)

// The parts of the stack whose cost is measured.
const (
	partTemporal   = "temporal"
	partPostgres   = "postgres"
	partWorker     = "worker"
	partStarter    = "starter"
	partReportAPI  = "reportapi"
	partKubernetes = "kubernetes"
	partKwok       = "kwok"
	partPlayer     = "player"
)

// readiness are the ports of /readyz.
var readiness = map[string]string{partWorker: workerPort, partStarter: starterPort, partReportAPI: reportPort}

// stack is Khronicle as it runs in production, each part a process of its own, on an API server whose nodes kwok plays.
type stack struct {
	options
	kubeconfig string
	database   *postgres
	link       *link.Link // before the database of the ledger, where that hangs
	processes  map[string]*process
	// cluster are the processes of Kubernetes.
	cluster []int
	// stops are the parts in the order in which they were started.
	stops []func()

	core     kubernetes.Interface
	group    *kube.Client
	temporal client.Client
}

func newStack(o options) (*stack, error) {
	if err := os.RemoveAll(o.state); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(o.state, "temporal"), 0o755); err != nil {
		return nil, err
	}
	return &stack{options: o, processes: map[string]*process{}}, nil
}

func (s *stack) up(ctx context.Context) error {
	for _, step := range []struct {
		what   string
		do     func(context.Context) error
		needed bool
	}{
		{"starting Kubernetes", s.startCluster, true},
		{"starting kwok", s.startKwok, true},
		{"starting PostgreSQL", s.startPostgres, s.needsPostgres()},
		{"starting Temporal", s.startTemporal, true},
		{"starting the roles", s.startRoles, true},
		{"making the namespaces", s.makeNamespaces, true},
	} {
		if !step.needed {
			continue
		}
		progress("%s", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// startCluster starts kubebox, and ends the parts of its node that no check needs.
func (s *stack) startCluster(ctx context.Context) error {
	if _, err := s.kubebox(ctx, "down", "--wipe"); err != nil { // what a killed program has left
		return err
	}
	s.stops = append(s.stops, func() {
		if _, err := s.kubebox(context.Background(), "down", "--wipe"); err != nil {
			progress("%v", err)
		}
	})
	out, err := s.kubebox(ctx, "up", "--port", apiServerPort, "--audit")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	s.kubeconfig = lines[len(lines)-1]
	if err := s.connect(); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"kubectl", "apply", "--server-side", "-k", "deploy/crds"},
		{"kubectl", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"},
		{"kill", "kubelet", "--hold"},
		{"kill", "kube-proxy", "--hold"},
		{"kill", "coredns", "--hold"},
	} {
		if _, err := s.kubebox(ctx, args...); err != nil {
			return err
		}
	}
	return s.findCluster(ctx)
}

func (s *stack) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent, config.QPS, config.Burst, config.Timeout = "scale-test", 500, 1000, 0
	if s.group, err = kube.NewClient(config); err != nil {
		return err
	}
	binary := rest.CopyConfig(config) // protobuf costs the API server and the player less than JSON
	binary.ContentType, binary.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	s.core, err = kubernetes.NewForConfig(binary)
	return err
}

// findCluster looks for the processes whose CPU counts as that of Kubernetes.
func (s *stack) findCluster(ctx context.Context) error {
	// The exit code is not 0, because components are held.
	out, err := s.kubebox(ctx, "status", "--json")
	var status struct {
		Components []struct {
			Name string
			PID  int
		}
	}
	if jsonErr := json.Unmarshal([]byte(out), &status); jsonErr != nil {
		return errors.Join(err, jsonErr)
	}
	for _, c := range status.Components {
		switch c.Name {
		case "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler":
			s.cluster = append(s.cluster, c.PID)
		}
	}
	if len(s.cluster) != 4 {
		return fmt.Errorf("found %d of 4 components in the status of kubebox: %s", len(s.cluster), out)
	}
	return nil
}

func (s *stack) kubebox(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "kubebox"), args...)
	cmd.Env = append(os.Environ(), "KUBEBOX_NAME="+clusterName, "KUBECONFIG=")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("kubebox %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return string(out), err
}

func (s *stack) startKwok(ctx context.Context) error {
	cmd, err := s.kwokCommand()
	if err != nil {
		return err
	}
	if err := s.begin(partKwok, cmd, syscall.SIGTERM); err != nil {
		return err
	}
	return s.makeNodes(ctx)
}

func (s *stack) startPostgres(ctx context.Context) (err error) {
	if s.database, err = newPostgres(s.databaseFolder()); err != nil {
		return err
	}
	s.stops = append(s.stops, func() { _ = os.RemoveAll(s.databaseFolder()) })
	if err := s.begin(partPostgres, s.database.server(), syscall.SIGINT); err != nil {
		return err
	}
	if err := errors.Join(s.database.makeLedger(ctx), s.makeLink()); err != nil || !s.postgres {
		return err
	}
	return s.makeTemporalDatabases(ctx)
}

// databaseFolder is where an unprivileged user can reach it, and short, because the path of a socket is below it.
func (s *stack) databaseFolder() string {
	return filepath.Join("/var/tmp", "khronicle-scale-"+strconv.Itoa(os.Getpid()))
}

func (s *stack) startTemporal(ctx context.Context) (err error) {
	if err := s.begin(partTemporal, s.temporalCommand(), syscall.SIGTERM); err != nil {
		return err
	}
	s.temporal, err = client.NewLazyClient(client.Options{
		HostPort: fmt.Sprintf("127.0.0.1:%d", temporalPort),
		Logger:   log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, s.temporal.Close)
	healthy := wait.Until(ctx, startTimeout, func() bool {
		_, err := s.temporal.CheckHealth(ctx, nil)
		return err == nil
	})
	if !healthy {
		return fmt.Errorf("it does not answer; see %s", s.logOf(partTemporal))
	}
	if !s.postgres {
		return nil
	}
	return s.makeNamespace(ctx)
}

func (s *stack) startRoles(ctx context.Context) error {
	for _, role := range []string{partWorker, partStarter, partReportAPI} {
		if err := s.begin(role, s.roleCommand(role), syscall.SIGTERM); err != nil {
			return err
		}
	}
	for role, port := range readiness {
		if !wait.Until(ctx, startTimeout, func() bool { return wait.Answers(ctx, "http://127.0.0.1:"+port+"/readyz") }) {
			return fmt.Errorf("%s is not ready; see %s", role, s.logOf(role))
		}
	}
	return nil
}

func (s *stack) roleCommand(role string) *exec.Cmd {
	args := []string{role, "--kubeconfig", s.kubeconfig, "--pod-name", role, "--log-json"}
	listen := "127.0.0.1:" + readiness[role]
	switch role {
	case partWorker:
		keep := strconv.Itoa(s.keepPods)
		args = append(args, "--operations-listen", listen, "--ledger", s.ledger(), "--max-completed-pods", keep, "--max-error-pods", keep,
			"--reporting-url", "http://127.0.0.1:"+reportPort+"/externalCheckStatus")
		args = append(args, s.workerArgs...)
	case partStarter:
		args = append(args, "--operations-listen", listen)
	case partReportAPI:
		args = append(args, "--listen", listen)
		if s.pages >= 0 {
			args = append(args, "--ledger", s.ledger())
		}
	}
	cmd := exec.Command(s.khronicle, args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("TEMPORAL_ADDRESS=127.0.0.1:%d", temporalPort))
	return cmd
}

func (s *stack) ledger() string {
	switch {
	case s.hangFor > 0:
		return dsnAt(s.link.Address(), ledgerDatabase)
	case s.postgres:
		return s.database.dsn(ledgerDatabase)
	}
	return "sqlite:" + s.ledgerFile()
}

func (s *stack) ledgerFile() string { return filepath.Join(s.state, "ledger.db") }

func (s *stack) begin(part string, cmd *exec.Cmd, signal syscall.Signal) error {
	p, err := startProcess(part, cmd, s.logOf(part))
	if err != nil {
		return err
	}
	s.processes[part] = p
	s.stops = append(s.stops, func() { p.stop(signal) })
	return nil
}

func (s *stack) logOf(part string) string { return filepath.Join(s.state, part+".log") }

// died returns an error if a part has ended.
func (s *stack) died() error {
	for part, p := range s.processes {
		if err := p.died(); err != nil {
			return fmt.Errorf("%w; see %s", err, s.logOf(part))
		}
	}
	return nil
}

// down ends everything, in whatever state it is.
func (s *stack) down() {
	progress("ending everything")
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
}
