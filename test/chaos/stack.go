//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/khronicle/khronicle/internal/devserver"
	"github.com/khronicle/khronicle/kube"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/chaos/link"
	"github.com/khronicle/khronicle/test/wait"
)

// Ports of the stack, all on 127.0.0.1. The end-to-end tests have others, so that both can run side by side.
const (
	apiServerPort = "16643"
	temporalPort  = 17433
	temporalUI    = 18433
	reportPort    = "18280"
	postgresPort  = "18285"
)

// operationsPorts are those of /readyz.
var operationsPorts = map[fault.Target]string{
	fault.Worker: "18281", fault.Worker2: "18283", fault.Starter: "18282", fault.ReportAPI: reportPort,
}

const (
	clusterName = "chaos"
	namespace   = "chaos"
	image       = "khronicle/chaos-check:dev"
)

// marker is in the environment of all that this program starts, so that what is left of it can be found.
func marker() string { return fmt.Sprintf("KHRONICLE_CHAOS=%d", os.Getpid()) }

// stack is Khronicle as it runs in production. Temporal, the roles and the ledger's database are processes of their own.
// Each connection between two of them can be cut.
type stack struct {
	options
	kubeconfig string
	disk       *disk
	database   *postgres
	processes  map[fault.Target]*process
	links      map[fault.Target]*link.Link

	core     kubernetes.Interface
	group    *kube.Client
	temporal client.Client
	isDown   bool
	// cgroupSeen is true once a control group of a pod was seen: the search for them works.
	cgroupSeen bool
	// notDone are faults that could not be done.
	notDone []string
}

func newStack(o options) (*stack, error) {
	if o.Postgres {
		if _, err := ledgertest.Find(); err != nil {
			return nil, err
		}
	}
	if err := os.RemoveAll(o.state); err != nil {
		return nil, err
	}
	for _, folder := range []string{"temporal", "journal"} {
		if err := os.MkdirAll(filepath.Join(o.state, folder), 0o755); err != nil {
			return nil, err
		}
	}
	return &stack{options: o, processes: map[fault.Target]*process{}, links: map[fault.Target]*link.Link{}}, nil
}

func (s *stack) up(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"starting Kubernetes", s.cluster},
		{"making the disk of the ledger", s.makeDisk},
		{"making the links", s.makeLinks},
		{"starting the roles", s.start},
		{"waiting until they are ready", s.ready},
	} {
		progress("%s", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (s *stack) cluster(ctx context.Context) error {
	if _, err := s.kubebox(ctx, "down", "--wipe"); err != nil { // what a killed program has left
		return err
	}
	out, err := s.kubebox(ctx, "up", "--port", apiServerPort)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	s.kubeconfig = lines[len(lines)-1]
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst, config.Timeout = 200, 400, 20*time.Second
	if s.core, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if s.group, err = kube.NewClient(config); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"kubectl", "apply", "--server-side", "-k", "deploy/crds"},
		{"kubectl", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"},
		{"load-image", image, filepath.Join(s.bin, "chaos-check")},
	} {
		if _, err := s.kubebox(ctx, args...); err != nil {
			return err
		}
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
		return "", fmt.Errorf("kubebox %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return string(out), nil
}

// Sizes of the disk of the ledger, in MB: PostgreSQL needs more for itself.
const (
	sqliteDisk   = 64
	postgresDisk = 256
)

func (s *stack) makeDisk(ctx context.Context) (err error) {
	size := sqliteDisk
	if s.Postgres {
		size = postgresDisk
	}
	if s.disk, err = newDisk(s.store, size); err != nil || !s.Postgres {
		return err
	}
	if s.database, err = newPostgres(s.store); err != nil {
		return err
	}
	s.begin(fault.Postgres, s.database.server, syscall.SIGQUIT)
	return s.database.makeDatabase(ctx)
}

func (s *stack) makeLinks(ctx context.Context) (err error) {
	for _, target := range fault.Links(s.Postgres) {
		_, to, _ := strings.Cut(string(target), "→")
		address := map[string]string{
			"temporal": fmt.Sprintf("127.0.0.1:%d", temporalPort), "kube": "127.0.0.1:" + apiServerPort,
			"postgres": "127.0.0.1:" + postgresPort, "reportapi": "127.0.0.1:" + reportPort,
		}[to]
		if s.links[target], err = link.New(address); err != nil {
			return err
		}
	}
	_, err = s.kubebox(ctx, "expose", s.links[fault.PodsReportAPI].Port())
	return err
}

func (s *stack) start(context.Context) error {
	temporal := devserver.Options{StateDir: filepath.Join(s.state, "temporal"), Port: temporalPort, UIPort: temporalUI}
	s.begin(fault.Temporal, func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(s.bin, "temporal"), temporal.Args()...)
		cmd.Env = append(os.Environ(), marker())
		return cmd
	}, syscall.SIGTERM)
	var err error
	s.temporal, err = client.NewLazyClient(client.Options{
		HostPort: fmt.Sprintf("127.0.0.1:%d", temporalPort), Logger: log.NewStructuredLogger(discard()),
	})
	if err != nil {
		return err
	}
	for _, role := range s.roles() {
		config, err := s.kubeconfigOf(role)
		if err != nil {
			return err
		}
		s.begin(role, func() *exec.Cmd { return s.role(role, config) }, syscall.SIGTERM)
	}
	return nil
}

func (s *stack) begin(target fault.Target, command func() *exec.Cmd, goodbye syscall.Signal) {
	p := &process{name: string(target), command: command, log: s.logOf(target), goodbye: goodbye}
	s.processes[target] = p
	p.begin()
}

func (s *stack) logOf(target fault.Target) string {
	return filepath.Join(s.state, string(target)+".log")
}

// roles are the processes of Khronicle.
func (s *stack) roles() []fault.Target {
	if s.Postgres {
		return []fault.Target{fault.Worker, fault.Worker2, fault.Starter, fault.ReportAPI}
	}
	return []fault.Target{fault.Worker, fault.Starter, fault.ReportAPI}
}

// way returns the link from a role to another part.
func (s *stack) way(role fault.Target, to string) *link.Link {
	return s.links[role+fault.Target("→"+to)]
}

// kubeconfigOf writes a kubeconfig that leads over the role's link.
func (s *stack) kubeconfigOf(role fault.Target) (string, error) {
	config, err := clientcmd.LoadFromFile(s.kubeconfig)
	if err != nil {
		return "", err
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + s.way(role, "kube").Address()
	}
	file := filepath.Join(s.state, string(role)+".kubeconfig")
	return file, clientcmd.WriteToFile(*config, file)
}

func (s *stack) role(role fault.Target, kubeconfig string) *exec.Cmd {
	name, _, _ := strings.Cut(string(role), "-")
	args := []string{name, "--kubeconfig", kubeconfig, "--pod-name", string(role), "--log-json"}
	operations := "127.0.0.1:" + operationsPorts[role]
	switch name {
	case "worker":
		args = append(args, "--operations-listen", operations, "--ledger", s.ledgerOf(role),
			"--reporting-url", "http://host.kubebox:"+s.links[fault.PodsReportAPI].Port()+"/externalCheckStatus",
			"--max-completed-pods", "2", "--max-error-pods", "2")
	case "starter":
		args = append(args, "--operations-listen", operations)
	case "reportapi":
		args = append(args, "--listen", operations)
	}
	cmd := exec.Command(filepath.Join(s.bin, "khronicle"), args...)
	cmd.Env = append(os.Environ(), "TEMPORAL_ADDRESS="+s.way(role, "temporal").Address(), marker())
	return cmd
}

// ledgerOf is the ledger as a worker reaches it.
func (s *stack) ledgerOf(worker fault.Target) string {
	if s.Postgres {
		return s.database.dsn(s.way(worker, "postgres").Address())
	}
	return s.ledgerDSN()
}

// ledgerDSN is the ledger as this program reaches it, over no link.
func (s *stack) ledgerDSN() string {
	if s.Postgres {
		return s.database.dsn("127.0.0.1:" + postgresPort)
	}
	return "sqlite:" + filepath.Join(s.store, "ledger.db")
}

// ready waits until all roles say that they can work.
func (s *stack) ready(ctx context.Context) error {
	for _, role := range s.roles() {
		url := "http://127.0.0.1:" + operationsPorts[role] + "/readyz"
		if !wait.Until(ctx, time.Minute, func() bool { return wait.Answers(ctx, url) }) {
			return fmt.Errorf("%s is not ready; see %s", role, s.logOf(role))
		}
	}
	return nil
}

// down ends everything, in whatever state it is. It may be called again.
func (s *stack) down() error {
	if s.isDown {
		return nil
	}
	s.isDown = true
	progress("ending everything")
	if s.temporal != nil {
		s.temporal.Close()
	}
	for _, target := range []fault.Target{fault.ReportAPI, fault.Starter, fault.Worker, fault.Worker2, fault.Temporal, fault.Postgres} {
		if p := s.processes[target]; p != nil {
			p.stop()
		}
	}
	var errs []error
	for _, l := range s.links {
		errs = append(errs, l.Close())
	}
	_, err := s.kubebox(context.Background(), "down", "--wipe")
	errs = append(errs, err)
	if s.disk != nil {
		errs = append(errs, s.disk.unmount())
	}
	return errors.Join(errs...)
}
