//go:build linux

package node

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// children starts processes and collects the exit status of every process of the PID namespace.
//
// The supervisor is the namespace's process 1, so it inherits orphans (containerd's shims, for one) and has to reap them.
// Waiting for "any child" would steal the status that os/exec waits for. So nothing in this process uses os/exec. One
// reaper passes each status to the caller that started that pid.
type children struct {
	// mu spans fork and registration: a child that ends at once is reaped only after it is registered.
	mu    sync.Mutex
	exits map[int]chan syscall.WaitStatus
}

func newChildren() *children {
	c := &children{exits: map[int]chan syscall.WaitStatus{}}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	go func() {
		for range signals {
			c.reap()
		}
	}()
	return c
}

// reap collects all that have ended: one SIGCHLD may stand for many.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
		if exit, ours := c.exits[pid]; ours {
			delete(c.exits, pid)
			exit <- status
		}
	}
}

// start runs path with args (args[0] included) and output appended to logFile. The channel delivers the exit status once.
func (c *children) start(path string, args []string, logFile string) (pid int, exit <-chan syscall.WaitStatus, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	defer null.Close()
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	defer log.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err = syscall.ForkExec(path, args, attr)
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	ch := make(chan syscall.WaitStatus, 1)
	c.exits[pid] = ch
	return pid, ch, nil
}

// run starts a program and waits for it. When ctx ends first, the program is killed.
func (c *children) run(ctx context.Context, logFile, path string, args ...string) error {
	pid, exit, err := c.start(path, append([]string{path}, args...), logFile)
	if err != nil {
		return err
	}
	select {
	case status := <-exit:
		if status.Exited() && status.ExitStatus() == 0 {
			return nil
		}
		return fmt.Errorf("run %s: %s, see %s", path, describe(status), logFile)
	case <-ctx.Done():
		c.signal(pid, syscall.SIGKILL)
		<-exit
		return fmt.Errorf("run %s: %w", path, ctx.Err())
	}
}

// signal reports whether pid was a child that has not been reaped, and so was the one meant.
func (c *children) signal(pid int, sig syscall.Signal) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ours := c.exits[pid]; !ours {
		return false
	}
	return syscall.Kill(pid, sig) == nil
}

// describe says in words how a process ended.
func describe(s syscall.WaitStatus) string {
	if s.Signaled() {
		return "killed by " + unix.SignalName(s.Signal())
	}
	return fmt.Sprintf("exit code %d", s.ExitStatus())
}
