//go:build linux

package node

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// Delays before a component is started again: short at first, longer if it keeps ending soon after its start.
const (
	firstDelay = 500 * time.Millisecond
	lastDelay  = 5 * time.Second
	// steady is how long a process has to run for its successor to start after firstDelay again.
	steady = 10 * time.Second
)

// supervisor keeps the components running.
type supervisor struct {
	children   *children
	components []*component
	byName     map[string]*component
}

// component is one supervised program. Its loop is the only one to start processes.
type component struct {
	spec    spec
	logFile string
	// wake tells the loop that held or starting has changed.
	wake chan struct{}

	mu       sync.Mutex
	state    control.State
	hold     bool
	pid      int
	since    time.Time
	restarts int
	lastExit string
}

func newSupervisor(c *children, list []spec, logFile func(name string) string) *supervisor {
	s := &supervisor{children: c, byName: map[string]*component{}}
	for _, sp := range list {
		comp := &component{spec: sp, logFile: logFile(sp.name), wake: make(chan struct{}, 1), state: control.Waiting}
		s.components = append(s.components, comp)
		s.byName[sp.name] = comp
	}
	return s
}

// run starts a component and keeps it running for ever.
func (s *supervisor) run(name string) {
	go s.loop(s.byName[name])
}

func (s *supervisor) loop(c *component) {
	delay := firstDelay
	for {
		started := time.Now()
		if exit := s.launch(c); exit != nil {
			end := describe(<-exit)
			slog.Warn("component ended", "component", c.spec.name, "exit", end)
			c.ended(end)
		}
		if time.Since(started) >= steady {
			delay = firstDelay
		}
		c.pause(delay)
		delay = min(2*delay, lastDelay)
	}
}

// launch starts the component's process, or waits while it is held. Without a process it returns nil.
// It holds the lock from the look at hold to the running process, so that no kill with hold falls between.
func (s *supervisor) launch(c *component) <-chan syscall.WaitStatus {
	c.mu.Lock()
	for c.hold {
		c.mu.Unlock()
		<-c.wake
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	path, args := c.spec.command()
	pid, exit, err := s.children.start(path, args, c.logFile)
	if err != nil {
		slog.Error("start component", "component", c.spec.name, "error", err)
		c.lastExit = err.Error()
		c.setIdle()
		return nil
	}
	if c.lastExit != "" {
		c.restarts++
	}
	c.state, c.pid, c.since = control.Running, pid, time.Now()
	return exit
}

// command returns the executable and its arguments.
func (s spec) command() (path string, args []string) {
	path = s.path
	if path == "" {
		path = filepath.Join(selfDir, s.name)
	}
	return path, append([]string{path}, s.args...)
}

func (c *component) ended(how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid, c.lastExit = 0, how
	c.setIdle()
}

// setIdle chooses between the two states without a process.
func (c *component) setIdle() {
	c.state = control.Restarting
	if c.hold {
		c.state = control.Held
	}
}

// pause waits for the delay, or until someone asks for the component.
func (c *component) pause(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.wake:
	}
}

// setHold changes hold and returns the pid of the process, 0 without one.
func (c *component) setHold(hold bool) int {
	c.mu.Lock()
	c.hold = hold
	pid := c.pid
	if pid == 0 && c.state != control.Waiting {
		c.setIdle()
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return pid
}

var signals = map[string]syscall.Signal{
	"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT,
}

// kill sends a signal to a component. With hold the component is not started again when it ends.
func (s *supervisor) kill(_ context.Context, r control.KillRequest) (control.None, error) {
	c, err := s.find(r.Component)
	if err != nil {
		return control.None{}, err
	}
	sig, ok := signals[strings.TrimPrefix(strings.ToUpper(r.Signal), "SIG")]
	if !ok {
		return control.None{}, fmt.Errorf("kill %s: signal %q is none of KILL, TERM, STOP, CONT", r.Component, r.Signal)
	}
	pid := c.current()
	if r.Hold {
		pid = c.setHold(true)
	}
	if !s.children.signal(pid, sig) && !r.Hold {
		return control.None{}, fmt.Errorf("kill %s: it is not running", r.Component)
	}
	slog.Info("signal sent", "component", r.Component, "signal", r.Signal, "hold", r.Hold)
	return control.None{}, nil
}

// start ends a hold and a pause of a component.
func (s *supervisor) start(_ context.Context, r control.StartRequest) (control.None, error) {
	c, err := s.find(r.Component)
	if err != nil {
		return control.None{}, err
	}
	s.children.signal(c.setHold(false), syscall.SIGCONT)
	slog.Info("component released", "component", r.Component)
	return control.None{}, nil
}

func (s *supervisor) find(name string) (*component, error) {
	if c, ok := s.byName[name]; ok {
		return c, nil
	}
	names := make([]string, len(s.components))
	for i, c := range s.components {
		names[i] = c.spec.name
	}
	return nil, fmt.Errorf("component %q is none of %s", name, strings.Join(names, ", "))
}

func (c *component) current() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// status returns the state of all components.
func (s *supervisor) status() []control.Component {
	out := make([]control.Component, len(s.components))
	for i, c := range s.components {
		out[i] = c.status()
	}
	return out
}

func (c *component) status() control.Component {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := control.Component{
		Name: c.spec.name, State: c.state, PID: c.pid, Restarts: c.restarts, Hold: c.hold, LastExit: c.lastExit,
	}
	if c.pid != 0 {
		st.Since = c.since
		if state, err := proc.State(c.pid); err == nil && state == 'T' {
			st.State = control.Stopped
		}
	}
	return st
}
