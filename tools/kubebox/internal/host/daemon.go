//go:build linux

// Package host is the outside of a cluster. Its daemon on the host owns the node's process and forwards ports both ways.
// Its commands start and stop the daemon. The node's inside is package node.
package host

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/netns"
	"github.com/khronicle/khronicle/tools/kubebox/internal/node"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// Arg0 is the name under which this program becomes a host daemon.
const Arg0 = "kubebox-host"

// nodePath is the PATH of the daemon, the node and its components.
const nodePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

func hostAddress(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// args are the daemon's arguments: enough for a person to recognise it, and for portOwner.
func args(c cluster.Cluster, port int) []string {
	return []string{"--name", c.Name, "--state", c.State, "--port", strconv.Itoa(port)}
}

func parseArgs(list []string) (cluster.Cluster, int, error) {
	fs := flag.NewFlagSet(Arg0, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	name := fs.String("name", "", "")
	state := fs.String("state", "", "")
	port := fs.Int("port", 0, "")
	if err := fs.Parse(list); err != nil {
		return cluster.Cluster{}, 0, fmt.Errorf("parse arguments: %w", err)
	}
	c, err := cluster.New(*name, *state)
	return c, *port, err
}

// ParseNodeArgs reads the arguments that the daemon gives the node.
func ParseNodeArgs(list []string) (cluster.Cluster, error) {
	c, _, err := parseArgs(list)
	return c, err
}

// RunDaemon is the life of the host daemon. It ends with the node, and the node ends with it.
func RunDaemon(list []string) error {
	c, port, err := parseArgs(list)
	if err != nil {
		return err
	}
	proc.SetName(Arg0)
	self, err := proc.Of(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Save(c.HostID()); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", hostAddress(port))
	if err != nil {
		return fmt.Errorf("listen for the API server: %w", err)
	}
	n, err := startNode(c, port)
	if err != nil {
		return err
	}
	defer func() {
		n.stop()
		if err := removeCgroups(c); err != nil {
			slog.Error("clean up", "error", err)
		}
	}()
	return serve(c, ln, n)
}

// serve forwards until the node ends or a signal asks the daemon to end.
func serve(c cluster.Cluster, ln net.Listener, n *nodeProcess) error {
	space, err := netns.Open(n.pid)
	if err != nil {
		return err
	}
	go func() {
		_ = netns.Forward(ln, func(ctx context.Context) (net.Conn, error) {
			return space.Dial(ctx, "tcp", cluster.APIAddress)
		})
	}()
	e := &exposer{space: space, listeners: map[int]net.Listener{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /status", control.Handle(e.status))
	mux.HandleFunc("POST /expose", control.Handle(e.expose))
	if _, err := control.Serve(c.HostSocket(), mux); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case s := <-signals:
		slog.Info("stopping", "signal", s.String())
		return nil
	case err := <-n.ended:
		return fmt.Errorf("node ended: %w", err)
	}
}

// nodeProcess is the running node.
type nodeProcess struct {
	pid   int
	cmd   *exec.Cmd
	ended chan error
	// done is closed when the node and with it every process of its PID namespace has ended.
	done chan struct{}
}

// startNode starts this program again as process 1 of new namespaces.
func startNode(c cluster.Cluster, port int) (*nodeProcess, error) {
	lifeline, held, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make lifeline: %w", err)
	}
	log, err := os.OpenFile(c.Log("node"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open node log: %w", err)
	}
	defer log.Close()
	n := &nodeProcess{
		cmd: &exec.Cmd{
			Path:        "/proc/self/exe",
			Args:        append([]string{node.Arg0}, args(c, port)...),
			Env:         environment(),
			Dir:         "/",
			Stdout:      log,
			Stderr:      log,
			ExtraFiles:  []*os.File{lifeline}, // becomes node.LifelineFD
			SysProcAttr: &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL},
		},
		ended: make(chan error, 1),
		done:  make(chan struct{}),
	}
	started := make(chan error, 1)
	go func() {
		// Pdeathsig is sent at the end of the thread, not of the process: this thread has to stay.
		runtime.LockOSThread()
		err := n.cmd.Start()
		lifeline.Close()
		started <- err
		if err != nil {
			return
		}
		err = n.cmd.Wait()
		held.Close()
		n.ended <- errors.Join(errors.New("see node.log"), err)
		close(n.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start node in new namespaces: %w (CAP_SYS_ADMIN is needed)", err)
	}
	n.pid = n.cmd.Process.Pid
	id, err := proc.Of(n.pid)
	if err == nil {
		err = id.Save(c.NodeID())
	}
	if err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

// stop kills the node and returns when all its processes have ended.
func (n *nodeProcess) stop() {
	_ = n.cmd.Process.Kill()
	<-n.done
}

// environment is that of the daemon, the node and its components. It takes nothing from the caller. The caller's proxies,
// kubeconfigs and Go settings would change what the components do.
func environment() []string {
	return []string{"PATH=" + nodePath, "HOME=/root", "LANG=C.UTF-8"}
}
