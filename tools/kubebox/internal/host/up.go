//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/kubeapi"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

const pollEvery = 50 * time.Millisecond

// UpOptions are what a caller may ask of a cluster.
type UpOptions struct {
	// Port on the host; 0 means the port of the last start, or cluster.DefaultPort.
	Port int
	// Audit asks for the audit log.
	Audit bool
	// Timeout limits the wait for readiness.
	Timeout time.Duration
}

// Up starts the cluster unless it runs, and returns when its node is Ready and pods can be created.
func Up(ctx context.Context, c cluster.Cluster, want UpOptions, progress io.Writer) error {
	begin := time.Now()
	if err := checkRoot(); err != nil {
		return err
	}
	held, err := lock(c, progress)
	if err != nil {
		return err
	}
	defer held.Close()
	saved, known, err := c.LoadOptions()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, want.Timeout)
	defer cancel()
	if proc.Load(c.HostID()).Alive() {
		if err := compatible(c, saved, want); err != nil {
			return err
		}
		fmt.Fprintf(progress, "kubebox: cluster %s is running\n", c.Name)
		return waitReady(ctx, c, saved, nil, begin, progress)
	}
	options := choose(saved, known, want)
	if err := prepare(c, options); err != nil {
		return err
	}
	fmt.Fprintf(progress, "kubebox: starting cluster %s, API server at https://%s, logs in %s\n", c.Name, hostAddress(options.Port), c.Path("log"))
	ended, err := startDaemon(c, options.Port)
	if err != nil {
		return err
	}
	return waitReady(ctx, c, options, ended, begin, progress)
}

// compatible fails if the running cluster is not what is wanted.
func compatible(c cluster.Cluster, running cluster.Options, want UpOptions) error {
	if want.Port != 0 && want.Port != running.Port {
		return fmt.Errorf("cluster %s is running at port %d, not %d; run `kubebox down` first", c.Name, running.Port, want.Port)
	}
	if want.Audit && !running.Audit {
		return fmt.Errorf("cluster %s is running without audit log; run `kubebox down` first", c.Name)
	}
	return nil
}

// choose returns the options of a new start. The port is kept from the last one, because kubeconfigs name it.
func choose(saved cluster.Options, known bool, want UpOptions) cluster.Options {
	o := cluster.Options{Port: cluster.DefaultPort, Audit: want.Audit}
	if known {
		o.Port = saved.Port
	}
	if want.Port != 0 {
		o.Port = want.Port
	}
	return o
}

// startDaemon starts the host daemon in a session of its own. The channel is closed when it ends while we look.
func startDaemon(c cluster.Cluster, port int) (<-chan struct{}, error) {
	log, err := os.OpenFile(c.Log("kubebox"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open daemon log: %w", err)
	}
	defer log.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{Arg0}, args(c, port)...),
		Env: environment(), Dir: "/", Stdout: log, Stderr: log,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start host daemon: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return ended, nil
}

// waitReady waits until the cluster can be used. ended, if not nil, tells of the daemon's early end.
func waitReady(ctx context.Context, c cluster.Cluster, o cluster.Options, ended <-chan struct{}, begin time.Time, progress io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ended:
			cancel(errDaemonEnded)
		case <-ctx.Done():
		}
	}()
	api, err := kubeapi.New(c, hostAddress(o.Port))
	if err != nil {
		return err
	}
	for _, step := range steps(c, api) {
		if err := untilUsable(ctx, cancel, step.check); err != nil {
			return explain(ctx, c, step, err)
		}
		fmt.Fprintf(progress, "kubebox: %s after %.1f s\n", step.name, time.Since(begin).Seconds())
	}
	return nil
}

// explain adds the ends of the logs, unless the reason is known.
func explain(ctx context.Context, c cluster.Cluster, s step, err error) error {
	if stuck, ok := errors.AsType[stuckError](context.Cause(ctx)); ok {
		return fmt.Errorf("cluster %s: wait for %s: %w", c.Name, s.name, stuck)
	}
	return fmt.Errorf("cluster %s: wait for %s: %w\n%s", c.Name, s.name, err, logTails(c))
}

var errDaemonEnded = errors.New("the cluster's processes ended")

// stuckError is an error that waiting does not cure.
type stuckError struct{ reason string }

func (e stuckError) Error() string { return e.reason }

// untilUsable repeats check until it succeeds, ctx ends or check says that waiting is in vain.
func untilUsable(ctx context.Context, cancel context.CancelCauseFunc, check func(context.Context) error) error {
	return kubeapi.Until(ctx, pollEvery, func(ctx context.Context) error {
		err := check(ctx)
		if stuck, ok := errors.AsType[stuckError](err); ok {
			cancel(stuck)
		}
		return err
	})
}

type step struct {
	name  string
	check func(context.Context) error
}

func steps(c cluster.Cluster, api *kubeapi.Client) []step {
	return []step{
		{"API server ready", func(ctx context.Context) error {
			if _, err := nodeStatus(ctx, c); err != nil {
				return err
			}
			return api.Ready(ctx)
		}},
		{"DNS and services ready", func(ctx context.Context) error {
			st, err := nodeStatus(ctx, c)
			if err == nil && !st.Booted {
				err = errors.New("the node is still booting")
			}
			return err
		}},
		{"node ready", func(ctx context.Context) error {
			st, err := nodeStatus(ctx, c)
			if err != nil {
				return err
			}
			kubelet, err := running(st)
			if err != nil {
				return err
			}
			return api.NodeReady(ctx, cluster.NodeName, kubelet.Since)
		}},
		{"default service account ready", func(ctx context.Context) error {
			return api.Exists(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
		}},
	}
}

// nodeStatus asks the node's supervisor, and recognises states that do not pass by themselves.
func nodeStatus(ctx context.Context, c cluster.Cluster) (control.NodeStatus, error) {
	var st control.NodeStatus
	if err := control.Call(ctx, c.NodeSocket(), "/status", control.None{}, &st); err != nil {
		return st, err
	}
	if st.BootError != "" {
		return st, stuckError{st.BootError}
	}
	for _, comp := range st.Components {
		if comp.State == control.Held || comp.State == control.Stopped {
			return st, stuckError{fmt.Sprintf("%s is %s; run `kubebox start %s`", comp.Name, comp.State, comp.Name)}
		}
	}
	return st, nil
}

// running returns the kubelet if all components run, and an error that names one that does not.
func running(st control.NodeStatus) (kubelet control.Component, err error) {
	for _, comp := range st.Components {
		if comp.State != control.Running {
			return control.Component{}, fmt.Errorf("%s is %s", comp.Name, comp.State)
		}
		if comp.Name == "kubelet" {
			kubelet = comp
		}
	}
	return kubelet, nil
}
