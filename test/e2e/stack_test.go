//go:build e2e

package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/khronicle/khronicle/internal/devserver"
	"github.com/khronicle/khronicle/test/wait"
)

// Ports of the stack under test, all on 127.0.0.1.
const (
	apiServerPort       = "16543"
	temporalPort        = 17333
	temporalUIPort      = 18333
	temporalMetricsPort = "18433"
	reportPort          = "18180"
	workerPort          = "18181"
	starterPort         = "18182"
	temporalUI          = "http://127.0.0.1:18333"
	reportBase          = "http://127.0.0.1:" + reportPort
	reportURL           = "http://host.kubebox:" + reportPort + "/externalCheckStatus"
	image               = "khronicle/khcheck:dev"
)

var (
	binDir   = flag.String("bin", "../../bin", "folder with khronicle, khcheck, temporal and kubebox")
	stateDir = flag.String("state", "../../.state/e2e", "folder for logs and Temporal's database")
	keep     = flag.Bool("keep", false, "leave the cluster running")
)

// under is the stack under test.
var under *stack

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runStack(m))
}

func runStack(m *testing.M) int {
	s, err := newStack()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer s.down()
	if err := s.up(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	under = s
	return m.Run()
}

// stack is Khronicle as it runs in production: Temporal and the three roles, each a process of its own.
type stack struct {
	bin, state string
	kubeconfig string
	// roleKubeconfig and roleEnv are what the roles get, but for tests that give them less.
	roleKubeconfig string
	roleEnv        []string
	// ledger is the address of the ledger. Empty means a file of the stack.
	ledger string
	// startBurst is how many checks the starter starts at the same moment: any number, but for the test of that.
	startBurst int
	kube       *clients
	processes  map[string]*exec.Cmd
}

// anyBurst is more checks than the tests apply. With fewer, those of a fast machine would have to wait for their interval.
const anyBurst = 10_000

func newStack() (*stack, error) {
	bin, err := filepath.Abs(*binDir)
	if err != nil {
		return nil, err
	}
	state, err := filepath.Abs(*stateDir)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(state); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(state, 0o755); err != nil {
		return nil, err
	}
	s := &stack{bin: bin, state: state, processes: map[string]*exec.Cmd{}, startBurst: anyBurst}
	return s, os.WriteFile(s.configFile(), []byte(defaultConfig), 0o644)
}

// defaultConfig is the configuration file of the stack under test, but for tests that change it.
const defaultConfig = "logLevel: info\n"

func (s *stack) configFile() string { return filepath.Join(s.state, "kuberhealthy.yaml") }

func (s *stack) up() error {
	if err := s.cluster(); err != nil {
		return err
	}
	var err error
	if s.kube, err = newClients(s.kubeconfig); err != nil {
		return err
	}
	for _, name := range []string{"temporal", "worker", "starter", "reportapi"} {
		if err := s.start(name); err != nil {
			return err
		}
	}
	return s.ready(time.Minute, "worker", "starter", "reportapi")
}

// cluster starts kubebox with Khronicle's resources, the image of the checks, and a way from pods to the report API.
func (s *stack) cluster() error {
	out, err := s.kubebox("up", "--port", apiServerPort, "--audit")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	s.kubeconfig = lines[len(lines)-1]
	s.roleKubeconfig = s.kubeconfig
	for _, args := range [][]string{
		{"kubectl", "apply", "--server-side", "-k", "../../deploy/crds"},
		{"load-image", image, filepath.Join(s.bin, "khcheck")},
		{"expose", reportPort},
	} {
		if _, err := s.kubebox(args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *stack) kubebox(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(s.bin, "kubebox"), args...)
	cmd.Env = append(os.Environ(), "KUBEBOX_NAME=e2e", "KUBECONFIG=")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubebox %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// command returns the process of a part of the stack.
func (s *stack) command(name string) *exec.Cmd {
	if name == "temporal" {
		o := devserver.Options{StateDir: filepath.Join(s.state, "temporal"), Port: temporalPort, UIPort: temporalUIPort}
		return exec.Command(filepath.Join(s.bin, "temporal"), append(o.Args(), "--metrics-port", temporalMetricsPort)...)
	}
	if name == "prometheus" {
		return s.prometheus()
	}
	flags := map[string][]string{
		"worker":    {"--operations-listen", "127.0.0.1:" + workerPort, "--reporting-url", reportURL, "--ledger", s.ledgerDSN()},
		"starter":   {"--operations-listen", "127.0.0.1:" + starterPort, "--start-burst", strconv.Itoa(s.startBurst)},
		"reportapi": {"--listen", "127.0.0.1:" + reportPort, "--show-evidence", "--ledger", s.ledgerDSN(), "--temporal-ui-url", temporalUI},
		"standalone": {
			"--listen", "127.0.0.1:" + reportPort, "--show-evidence", "--reporting-url", reportURL, "--ledger", s.ledgerDSN(), "--start-burst", strconv.Itoa(s.startBurst),
		},
	}
	args := append([]string{name, "--kubeconfig", s.roleKubeconfig, "--pod-name", name, "--config", s.configFile()}, flags[name]...)
	cmd := exec.Command(filepath.Join(s.bin, "khronicle"), args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("TEMPORAL_ADDRESS=127.0.0.1:%d", temporalPort))
	cmd.Env = append(cmd.Env, s.roleEnv...)
	return cmd
}

func (s *stack) start(name string) error {
	if err := os.MkdirAll(filepath.Join(s.state, "temporal"), 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.state, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd := s.command(name)
	cmd.Stdout, cmd.Stderr = log, log
	// A test binary that dies must not leave its stack behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	s.processes[name] = cmd
	return nil
}

// kill ends a part of the stack as a crash would.
func (s *stack) kill(name string) { s.end(name, syscall.SIGKILL) }

// stop ends a part of the stack as an update would.
func (s *stack) stop(name string) { s.end(name, syscall.SIGTERM) }

func (s *stack) end(name string, signal syscall.Signal) {
	cmd := s.processes[name]
	if cmd == nil {
		return
	}
	delete(s.processes, name)
	_ = cmd.Process.Signal(signal) // it may have ended
	_ = cmd.Wait()
}

// ready waits until the named roles say that they can work.
func (s *stack) ready(within time.Duration, roles ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	ports := map[string]string{"worker": workerPort, "starter": starterPort, "reportapi": reportPort}
	for _, name := range roles {
		for !wait.Answers(ctx, "http://127.0.0.1:"+ports[name]+"/readyz") {
			if ctx.Err() != nil {
				return fmt.Errorf("%s is not ready after %s; see %s", name, within, filepath.Join(s.state, name+".log"))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

func (s *stack) down() {
	for _, name := range []string{"standalone", "reportapi", "starter", "worker", "temporal"} {
		s.stop(name)
	}
	if *keep {
		return
	}
	if _, err := s.kubebox("down"); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
}

// restart starts parts of the stack again when the test ends, however it ends.
func restart(t *testing.T, names ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, name := range names {
			if under.processes[name] == nil {
				if err := under.start(name); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := under.ready(time.Minute, "worker", "starter", "reportapi"); err != nil {
			t.Fatal(err)
		}
	})
}
