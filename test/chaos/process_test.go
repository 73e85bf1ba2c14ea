//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/khronicle/khronicle/test/wait"
)

// shell is a process that runs a script, and writes to its log.
func shell(t *testing.T, script string) *process {
	t.Helper()
	p := &process{
		name: "shell", log: filepath.Join(t.TempDir(), "log"), goodbye: syscall.SIGTERM,
		command: func() *exec.Cmd { return exec.Command("sh", "-c", script) },
	}
	p.begin()
	t.Cleanup(p.stop)
	return p
}

// logged waits until the log has so many lines.
func (p *process) logged(t *testing.T, lines int) {
	t.Helper()
	ok := wait.Until(t.Context(), 10*time.Second, func() bool {
		text, err := os.ReadFile(p.log)
		return err == nil && strings.Count(string(text), "\n") == lines
	})
	if !ok {
		t.Fatalf("the log has not %d lines", lines)
	}
}

func TestProcessIsStartedAgain(t *testing.T) {
	p := shell(t, "echo started; exec sleep 60")
	p.logged(t, 1)
	killed := time.Now()
	const away = 1200 * time.Millisecond
	p.kill(away)
	p.logged(t, 2)
	if took := time.Since(killed); took < away {
		t.Errorf("it was back after %s, want %s", took, away)
	}
	p.stop()
	if starts, alive := p.lives(); starts != 2 || alive {
		t.Errorf("%d starts, alive %t", starts, alive)
	}
}

func TestProcessThatEndsByItself(t *testing.T) {
	p := shell(t, "echo started; exit 1")
	p.logged(t, 2)
}

func TestProcessIsStoppedWithItsChildren(t *testing.T) {
	p := shell(t, "sleep 60 & echo started; wait")
	p.logged(t, 1)
	p.mu.Lock()
	pid := p.present.Process.Pid
	p.mu.Unlock()
	all := append(childrenOf(pid), pid)
	if len(all) != 2 {
		t.Fatalf("processes %v, want the shell and its child", all)
	}
	states := func(want string) func() bool {
		return func() bool {
			for _, pid := range all {
				if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || !strings.Contains(string(text), ") "+want+" ") {
					return false
				}
			}
			return true
		}
	}
	p.signal(syscall.SIGSTOP)
	if !wait.Until(t.Context(), 5*time.Second, states("T")) {
		t.Error("they are not stopped")
	}
	p.signal(syscall.SIGCONT)
	if !wait.Until(t.Context(), 5*time.Second, states("S")) {
		t.Error("they do not go on")
	}
	_ = syscall.Kill(all[0], syscall.SIGKILL)
}

// A process that was stopped, and that does not listen, ends all the same.
func TestStopEndsWhatIsStopped(t *testing.T) {
	p := shell(t, "echo started; exec sleep 60")
	p.logged(t, 1)
	p.signal(syscall.SIGSTOP)
	began := time.Now()
	p.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to end it", took)
	}
}
