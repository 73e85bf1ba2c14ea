//go:build linux

package proc_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// sleeper starts a process that does nothing, and ends it when the test ends.
func sleeper(t *testing.T, env ...string) (*exec.Cmd, proc.ID) {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	id, err := proc.Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, id
}

func TestSignalSparesAStrangerWithTheSamePid(t *testing.T) {
	_, id := sleeper(t)
	for name, stranger := range map[string]proc.ID{
		"started at another time": {PID: id.PID, Start: id.Start + 1, Boot: id.Boot},
		"of another boot":         {PID: id.PID, Start: id.Start, Boot: "another"},
		"without a pid":           {},
	} {
		t.Run(name, func(t *testing.T) {
			if stranger.Alive() {
				t.Error("Alive() = true for a process that is not ours")
			}
			if err := stranger.Signal(unix.SIGKILL); err != nil {
				t.Error(err)
			}
			if _, err := stranger.Open(); !errors.Is(err, proc.ErrGone) {
				t.Errorf("Open() error = %v, want ErrGone", err)
			}
		})
	}
	if !id.Alive() {
		t.Fatal("the process was killed")
	}
}

func TestSignalEndsTheProcess(t *testing.T) {
	cmd, id := sleeper(t)
	if err := id.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// Not waited for: a zombie counts as ended.
	if !id.Wait(10 * time.Second) {
		t.Fatal("the process is alive after SIGKILL")
	}
	_ = cmd.Wait()
	if err := id.Signal(unix.SIGKILL); err != nil {
		t.Errorf("signal to an ended process: %v", err)
	}
}

func TestIDSurvivesAFile(t *testing.T) {
	id, err := proc.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id.json")
	if err := id.Save(path); err != nil {
		t.Fatal(err)
	}
	if got := proc.Load(path); got != id {
		t.Errorf("Load() = %+v, want %+v", got, id)
	}
	if got := proc.Load(path + ".missing"); got.Alive() {
		t.Errorf("Load() of a missing file = %+v, which is alive", got)
	}
}

func TestWithEnvFindsMarkedProcessesOnly(t *testing.T) {
	_, marked := sleeper(t, "KUBEBOX_TEST=/one")
	_, other := sleeper(t, "KUBEBOX_TEST=/one/more")
	found, err := proc.WithEnv("KUBEBOX_TEST=/one")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[proc.ID]bool{}
	for _, id := range found {
		seen[id] = true
	}
	if !seen[marked] || seen[other] {
		t.Errorf("WithEnv() = %v, want %v and not %v", found, marked, other)
	}
}

func TestInnerPidsOfTheOwnNamespace(t *testing.T) {
	inner, err := proc.InnerPids(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var got int
	for _, pid := range inner {
		if pid == os.Getpid() {
			got++
		}
	}
	if got != 1 {
		t.Errorf("this process was found %d times in %v", got, inner)
	}
}
