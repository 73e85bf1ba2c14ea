//go:build linux

// Package node is the inside of a cluster: process 1 of the node's own mount, network, PID, UTS and IPC namespaces.
// It sets the namespaces up, starts the components, restarts those that end, and reaps orphans.
// Its death ends every process and container of the node, and frees every mount and interface.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/control"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// Arg0 is the name under which this program becomes a node.
const Arg0 = "kubebox-node"

// LifelineFD is a pipe whose other end the host daemon holds. Its end is the end of the node,
// also if the daemon died before the kernel knew that its death should kill the node.
const LifelineFD = 3

// wantedFiles is the limit of open files asked for; less is possible if the machine does not allow it.
const wantedFiles = 1 << 20

type node struct {
	cluster    cluster.Cluster
	supervisor *supervisor
	importer   *importer
	booted     atomic.Bool
	bootError  atomic.Pointer[string]
}

// Run is the life of the node. It returns only if the node cannot start.
func Run(c cluster.Cluster) error {
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is started by `kubebox up` only", Arg0)
	}
	go diesWithDaemon()
	proc.SetName(Arg0)
	options, _, err := c.LoadOptions()
	if err != nil {
		return err
	}
	if err := setUp(c); err != nil {
		return err
	}
	n, err := newNode(c, options)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /status", control.Handle(n.status))
	mux.HandleFunc("POST /kill", control.Handle(n.supervisor.kill))
	mux.HandleFunc("POST /start", control.Handle(n.supervisor.start))
	mux.HandleFunc("POST /import", control.Handle(n.importer.load))
	if _, err := control.Serve(c.NodeSocket(), mux); err != nil {
		return err
	}
	if err := n.boot(context.Background()); err != nil {
		slog.Error("boot", "error", err)
		text := err.Error()
		n.bootError.Store(&text)
	} else {
		slog.Info("booted")
		n.booted.Store(true)
	}
	select {}
}

func newNode(c cluster.Cluster, o cluster.Options) (*node, error) {
	containerdPath, err := exec.LookPath("containerd")
	if err != nil {
		return nil, fmt.Errorf("find containerd: %w", err)
	}
	ctr, err := exec.LookPath("ctr")
	if err != nil {
		return nil, fmt.Errorf("find ctr: %w", err)
	}
	list := specs(c, o, containerdPath)
	if err := linkSelf(list); err != nil {
		return nil, err
	}
	kids := newChildren()
	return &node{
		cluster:    c,
		supervisor: newSupervisor(kids, list, c.Log),
		importer:   &importer{cluster: c, children: kids, ctr: ctr},
	}, nil
}

func setUp(c cluster.Cluster) error {
	if err := setUpMounts(c); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(cluster.NodeName)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := setUpNetwork(); err != nil {
		return err
	}
	raiseFileLimit()
	return nil
}

// raiseFileLimit takes what the machine allows: raising the hard limit needs CAP_SYS_RESOURCE.
func raiseFileLimit() {
	want := syscall.Rlimit{Cur: wantedFiles, Max: wantedFiles}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) == nil {
		return
	}
	var have syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		return
	}
	have.Cur = have.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &have); err != nil {
		slog.Warn("raise limit of open files", "error", err)
	}
}

func diesWithDaemon() {
	syscall.CloseOnExec(LifelineFD) // components must not hold it
	_, _ = os.NewFile(LifelineFD, "lifeline").Read(make([]byte, 1))
	os.Exit(1)
}

func (n *node) status(context.Context, control.None) (control.NodeStatus, error) {
	st := control.NodeStatus{Booted: n.booted.Load(), Components: n.supervisor.status()}
	if text := n.bootError.Load(); text != nil {
		st.BootError = *text
	}
	return st, nil
}
