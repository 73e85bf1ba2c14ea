//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Times of a process.
const (
	// restartPause is the least time between the end of a process and its next start.
	restartPause = 500 * time.Millisecond
	// stopTimeout bounds an end in order.
	stopTimeout = 20 * time.Second
)

// process is a part of the stack. It is started again whenever it ends.
type process struct {
	name    string
	command func() *exec.Cmd
	log     string
	// goodbye is the signal that ends it in order.
	goodbye syscall.Signal

	mu        sync.Mutex
	present   *exec.Cmd
	starts    int
	expected  bool // this program ended the process
	notBefore time.Time

	cancel context.CancelFunc
	ended  chan struct{}
}

// begin starts the process, and keeps it running until stop.
func (p *process) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.ended = cancel, make(chan struct{})
	go func() {
		defer close(p.ended)
		// The kernel ends the child together with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for ctx.Err() == nil {
			if err := p.live(); err != nil {
				progress("%s: %v", p.name, err)
			}
			p.await(ctx)
		}
	}()
}

// live is one life of the process.
func (p *process) live() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	p.mu.Lock()
	err = cmd.Start()
	if err == nil {
		p.present, p.starts, p.expected = cmd, p.starts+1, false
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	_ = cmd.Wait() // its state says the same
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.present = nil; !p.expected {
		return fmt.Errorf("it ended by itself: %v", cmd.ProcessState)
	}
	return nil
}

// await waits until the process may start again.
func (p *process) await(ctx context.Context) {
	p.mu.Lock()
	pause := max(time.Until(p.notBefore), restartPause)
	p.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// kill ends the process as a crash does. The process starts again after this time.
func (p *process) kill(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notBefore = time.Now().Add(after)
	if p.present != nil {
		p.expected = true
		_ = p.present.Process.Kill() // it may have ended
	}
}

// lives says how often the process was started, and whether it is there.
func (p *process) lives() (starts int, alive bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts, p.present != nil
}

// signal sends a signal to the process and its children.
func (p *process) signal(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.present == nil {
		return
	}
	pid := p.present.Process.Pid
	for _, child := range append(childrenOf(pid), pid) {
		_ = syscall.Kill(child, signal) // it may have ended
	}
}

// stop ends the process in order, and for good.
func (p *process) stop() {
	if p.cancel == nil {
		return
	}
	p.cancel()
	p.signal(syscall.SIGCONT)
	for end := time.Now().Add(stopTimeout); ; {
		p.mu.Lock()
		if p.expected = true; p.present != nil {
			signal := p.goodbye
			if time.Now().After(end) {
				signal = syscall.SIGKILL
			}
			_ = p.present.Process.Signal(signal) // it may have ended
		}
		p.mu.Unlock()
		select {
		case <-p.ended:
			return
		case <-time.After(time.Second):
		}
	}
}

// childrenOf returns the children of a process that are there now.
func childrenOf(parent int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	var children []int
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …; the name may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
				children = append(children, pid)
			}
		}
	}
	return children
}

// podCgroups lists the control groups of pods of this program's cluster.
func podCgroups() (there []string) {
	found, _ := filepath.Glob("/sys/fs/cgroup/*/kubebox-" + clusterName + "-*") // the pattern is right
	unified, _ := filepath.Glob("/sys/fs/cgroup/kubebox-" + clusterName + "-*")
	for _, root := range append(found, unified...) {
		_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return nil // it went while it was looked at
			}
			if name := entry.Name(); strings.HasPrefix(name, "pod") || strings.Contains(name, "-pod") {
				there = append(there, "cgroup "+path)
				return filepath.SkipDir
			}
			return nil
		})
	}
	return there
}

// remains lists what is left when everything was ended: processes, mounts and cgroups.
func (s *stack) remains() (there []string) {
	environments, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is right
	for _, name := range environments {
		folder := filepath.Dir(name)
		text, _ := os.ReadFile(name) // empty when it has ended
		cwd, _ := os.Readlink(filepath.Join(folder, "cwd"))
		if slices.Contains(strings.Split(string(text), "\x00"), marker()) || strings.HasPrefix(cwd, s.store) {
			command, _ := os.ReadFile(filepath.Join(folder, "comm"))
			there = append(there, fmt.Sprintf("process %s: %s", filepath.Base(folder), strings.TrimSpace(string(command))))
		}
	}
	for _, path := range []string{s.store, filepath.Join(filepath.Dir(s.store), clusterName)} {
		mounts, err := mountsBelow(path)
		if err != nil {
			there = append(there, fmt.Sprintf("the mounts could not be read: %v", err))
		}
		for _, mount := range mounts {
			there = append(there, "mount "+mount)
		}
	}
	return append(there, podCgroups()...)
}
