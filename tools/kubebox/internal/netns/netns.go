//go:build linux

// Package netns opens sockets inside the network namespace of another process. A socket stays in the namespace in which it
// was made, so its user needs no thread there. That is how the host daemon forwards between the host and the node without a
// process in the node.
package netns

import (
	"context"
	"fmt"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace makes sockets in one network namespace.
type Namespace struct {
	jobs chan func()
}

// Open returns the network namespace of the process with the pid.
func Open(pid int) (*Namespace, error) {
	n := &Namespace{jobs: make(chan func())}
	entered := make(chan error)
	go n.run(pid, entered)
	if err := <-entered; err != nil {
		return nil, err
	}
	return n, nil
}

// run executes jobs on a thread of the namespace. The thread is never unlocked: it ends with the goroutine.
func (n *Namespace) run(pid int, entered chan<- error) {
	runtime.LockOSThread()
	if err := enter(pid); err != nil {
		entered <- err
		return
	}
	close(entered)
	for job := range n.jobs {
		job()
	}
}

func enter(pid int) error {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open network namespace of %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace of %d: %w", pid, err)
	}
	return nil
}

// Close ends the thread. Sockets live on.
func (n *Namespace) Close() { close(n.jobs) }

// Dial connects to an IP address and port inside the namespace.
func (n *Namespace) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := n.do(ctx, func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Listen opens a listener on an IP address and port inside the namespace.
func (n *Namespace) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var ln net.Listener
	err := n.do(ctx, func() (err error) {
		ln, err = new(net.ListenConfig).Listen(ctx, network, address)
		return err
	})
	return ln, err
}

func (n *Namespace) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	select {
	case n.jobs <- func() { done <- f() }:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	}
}
