//go:build linux

// Command kubebox is a real one-node Kubernetes for development and tests. One binary has etcd, the control plane, kubelet,
// kube-proxy, CoreDNS and kubectl, and a supervisor that runs them in their own namespaces.
//
// Called by the name of a component (a symlink, or the first argument), it is that component and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cli"
	"github.com/khronicle/khronicle/tools/kubebox/internal/host"
	"github.com/khronicle/khronicle/tools/kubebox/internal/node"
)

func main() {
	if run := component(); run != nil {
		os.Exit(run())
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kubebox:", err)
		os.Exit(1)
	}
}

// component returns the component that this process was called as, and makes its name the first argument.
// kubectl as an argument is a command of the supervisor, which adds the cluster's kubeconfig.
func component() func() int {
	if run, ok := components[filepath.Base(os.Args[0])]; ok {
		return run
	}
	if len(os.Args) < 2 || os.Args[1] == "kubectl" {
		return nil
	}
	run, ok := components[os.Args[1]]
	if ok {
		os.Args = os.Args[1:]
	}
	return run
}

func run() error {
	switch filepath.Base(os.Args[0]) {
	case host.Arg0:
		return host.RunDaemon(os.Args[1:])
	case node.Arg0:
		c, err := host.ParseNodeArgs(os.Args[1:])
		if err != nil {
			return err
		}
		return node.Run(c)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := cli.New(func() { os.Exit(runKubectl()) }).ExecuteContext(ctx)
	if ctx.Err() != nil {
		return errors.Join(errors.New("interrupted"), err)
	}
	return err
}
