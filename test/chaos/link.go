package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/khronicle/khronicle/test/chaos/fault"
)

// link is a way from one part of the stack to another, that can be cut.
type link struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	open    map[net.Conn]bool
	refused bool
	thawed  chan struct{} // nil unless frozen; closed when that ends
}

// newLink listens at a port of its own and forwards to an address.
func newLink(to string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make a link: %w", err)
	}
	l := &link{listener: listener, to: to, open: map[net.Conn]bool{}}
	go l.accept()
	return l, nil
}

// address is where the link listens.
func (l *link) address() string { return l.listener.Addr().String() }

// port is that of the address.
func (l *link) port() string { return l.address()[strings.LastIndexByte(l.address(), ':')+1:] }

// cut begins a fault. What is frozen is not lost: it goes on when the fault ends.
func (l *link) cut(kind fault.Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kind == fault.Freeze {
		l.thawed = make(chan struct{})
		return
	}
	l.refused = true
	for conn := range l.open {
		reset(conn)
	}
}

// mend ends a fault.
func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused = false; l.thawed != nil {
		close(l.thawed)
		l.thawed = nil
	}
}

// close ends the link and all that goes over it.
func (l *link) close() error {
	err := l.listener.Close()
	l.cut(fault.Refuse)
	l.mend()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (l *link) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		go l.serve(conn)
	}
}

func (l *link) serve(from net.Conn) {
	if !l.keep(from) {
		return
	}
	defer l.drop(from)
	l.pass()
	to, err := net.Dial("tcp", l.to)
	if err != nil {
		reset(from)
		return
	}
	if !l.keep(to) {
		return
	}
	defer l.drop(to)
	var both sync.WaitGroup
	both.Go(func() { l.pump(to, from) })
	both.Go(func() { l.pump(from, to) })
	both.Wait()
}

// keep remembers a connection, or ends it while the link is cut.
func (l *link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused {
		reset(conn)
		return false
	}
	l.open[conn] = true
	return true
}

func (l *link) drop(conn net.Conn) {
	l.mu.Lock()
	delete(l.open, conn)
	l.mu.Unlock()
	_ = conn.Close() // nobody is left to tell
}

// pass waits as long as the link is frozen.
func (l *link) pass() {
	l.mu.Lock()
	thawed := l.thawed
	l.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
}

func (l *link) pump(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.pass()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				reset(from)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = to.(*net.TCPConn).CloseWrite() // it may be closed
			return
		case err != nil:
			reset(to)
			return
		}
	}
}

// reset closes a connection so that the other side sees an error, as when a machine goes.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
