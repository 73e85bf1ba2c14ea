//go:build linux

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/khronicle/khronicle/tools/kubebox/internal/cluster"
	"github.com/khronicle/khronicle/tools/kubebox/internal/proc"
)

// ExecMark is the environment entry of every process that Exec started in the node, by which Down finds them.
func ExecMark(c cluster.Cluster) string { return "KUBEBOX_EXEC=" + c.Dir() }

// Exec replaces this process by a command in the node's network, UTS and mount namespaces.
// It returns only with an error.
//
// The command stays in the host's PID namespace. It gets a copy of the node's mounts, with a /proc
// that shows this PID namespace; mounts that the node makes later appear in it.
func Exec(c cluster.Cluster, command []string) error {
	if err := checkRoot(); err != nil {
		return err
	}
	// Namespaces belong to threads: this one enters them, and execve makes it the whole process.
	runtime.LockOSThread()
	if err := enterNode(c); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("find command: %w", err)
	}
	env := append(os.Environ(), ExecMark(c), "KUBECONFIG="+c.NodeKubeconfig())
	if err := syscall.Exec(path, command, env); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}

func enterNode(c cluster.Cluster) error {
	fd, err := proc.Load(c.NodeID()).Open()
	if errors.Is(err, proc.ErrGone) {
		return NotRunning(c)
	}
	if err != nil {
		return err
	}
	defer fd.Close()
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	// A thread that shares its root and working directory with others may not change its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare file system attributes: %w", err)
	}
	if err := unix.Setns(int(fd.Fd()), unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("enter namespaces of the node: %w", err)
	}
	if err := ownProc(); err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return os.Chdir("/") // the folder is hidden in the node
	}
	return nil
}

// ownProc mounts a /proc of the host's PID namespace where only this process and its children see it.
func ownProc() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("copy the node's mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make the copied mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// NotRunning is the error of commands that need a running cluster.
func NotRunning(c cluster.Cluster) error {
	return fmt.Errorf("cluster %s in %s is not running; start it with `kubebox up`", c.Name, c.State)
}
