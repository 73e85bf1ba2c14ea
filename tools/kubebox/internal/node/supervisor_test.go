//go:build linux

package node

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
)

// The reaper waits for any child, so all tests of this package share one and none uses os/exec.
var reaper = newChildren()

// supervise starts one component and ends it with the test.
func supervise(t *testing.T, path string, args ...string) *supervisor {
	t.Helper()
	dir := t.TempDir()
	s := newSupervisor(reaper, []spec{{name: "c", path: path, args: args}}, func(name string) string { return filepath.Join(dir, name+".log") })
	s.run("c")
	t.Cleanup(func() {
		_, _ = s.kill(t.Context(), control.KillRequest{Component: "c", Signal: "KILL", Hold: true}) // whether it ended is seen below
		eventually(t, s, "held at the end", func(c control.Component) bool { return c.State == control.Held })
	})
	return s
}

func eventually(t *testing.T, s *supervisor, what string, ok func(control.Component) bool) control.Component {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		c := s.status()[0]
		if ok(c) {
			return c
		}
		if time.Now().After(deadline) {
			t.Fatalf("component is not %s: %+v", what, c)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func isRunning(c control.Component) bool { return c.State == control.Running }

func kill(t *testing.T, s *supervisor, signal string, hold bool) {
	t.Helper()
	if _, err := s.kill(t.Context(), control.KillRequest{Component: "c", Signal: signal, Hold: hold}); err != nil {
		t.Fatal(err)
	}
}

func TestKilledComponentIsRestarted(t *testing.T) {
	s := supervise(t, "/bin/sleep", "60")
	first := eventually(t, s, "running", isRunning)
	kill(t, s, "KILL", false)
	second := eventually(t, s, "restarted", func(c control.Component) bool { return isRunning(c) && c.PID != first.PID })
	if second.Restarts != 1 || second.LastExit != "killed by SIGKILL" || !second.Since.After(first.Since) {
		t.Errorf("after the restart: %+v", second)
	}
}

func TestHeldComponentWaitsForStart(t *testing.T) {
	s := supervise(t, "/bin/sleep", "60")
	eventually(t, s, "running", isRunning)
	kill(t, s, "SIGTERM", true)
	held := eventually(t, s, "held", func(c control.Component) bool { return c.State == control.Held })
	if held.PID != 0 || !held.Hold {
		t.Errorf("held component: %+v", held)
	}
	if _, err := s.kill(t.Context(), control.KillRequest{Component: "c", Signal: "KILL"}); err == nil {
		t.Error("kill of a component without process succeeded")
	}
	if _, err := s.start(t.Context(), control.StartRequest{Component: "c"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "running again", isRunning)
}

func TestStoppedComponentIsContinuedByStart(t *testing.T) {
	s := supervise(t, "/bin/sleep", "60")
	first := eventually(t, s, "running", isRunning)
	kill(t, s, "STOP", false)
	eventually(t, s, "stopped", func(c control.Component) bool { return c.State == control.Stopped })
	if _, err := s.start(t.Context(), control.StartRequest{Component: "c"}); err != nil {
		t.Fatal(err)
	}
	if c := eventually(t, s, "running again", isRunning); c.PID != first.PID || c.Restarts != 0 {
		t.Errorf("after start: %+v, want the first process %d", c, first.PID)
	}
}

func TestComponentThatCannotStartIsTriedAgain(t *testing.T) {
	program := filepath.Join(t.TempDir(), "late")
	s := supervise(t, program)
	eventually(t, s, "failing", func(c control.Component) bool { return strings.Contains(c.LastExit, "no such file") })
	if err := os.Symlink("/bin/yes", program); err != nil {
		t.Fatal(err)
	}
	eventually(t, s, "running", isRunning)
}

func TestUnknownComponentsAndSignals(t *testing.T) {
	s := supervise(t, "/bin/sleep", "60")
	eventually(t, s, "running", isRunning)
	for _, r := range []control.KillRequest{{Component: "x", Signal: "KILL"}, {Component: "c", Signal: "HUP"}, {Component: "c"}} {
		if _, err := s.kill(t.Context(), r); err == nil {
			t.Errorf("kill(%+v) succeeded", r)
		}
	}
	if _, err := s.start(t.Context(), control.StartRequest{Component: "x"}); err == nil {
		t.Error("start of an unknown component succeeded")
	}
}

func TestRunReportsTheExitStatus(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := reaper.run(t.Context(), log, "/bin/sh", "-c", "echo out; echo err >&2"); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(log); string(b) != "out\nerr\n" {
		t.Errorf("log = %q", b)
	}
	if err := reaper.run(t.Context(), log, "/bin/sh", "-c", "exit 3"); err == nil || !strings.Contains(err.Error(), "exit code 3") {
		t.Errorf("run() error = %v, want exit code 3", err)
	}
}

func TestOnlyChildrenAreSignalled(t *testing.T) {
	if reaper.signal(os.Getppid(), syscall.Signal(0)) {
		t.Error("signal() took a stranger for a child")
	}
}
