// Package link is a way from one part of a stack to another that can be cut, frozen or slowed.
package link

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/khronicle/khronicle/test/chaos/fault"
)

// Link forwards connections to an address.
type Link struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	open    map[net.Conn]bool
	refused bool
	thawed  chan struct{} // nil unless frozen; closed when that ends
	delay   time.Duration // of each direction
}

// Slowness is the delay of each direction of a slow link: a call takes two seconds more.
const Slowness = time.Second

// New listens at a port of its own and forwards to an address.
func New(to string) (*Link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("make a link: %w", err)
	}
	l := &Link{listener: listener, to: to, open: map[net.Conn]bool{}}
	go l.accept()
	return l, nil
}

// Address is where the link listens.
func (l *Link) Address() string { return l.listener.Addr().String() }

// Port is that of the address.
func (l *Link) Port() string { return l.Address()[strings.LastIndexByte(l.Address(), ':')+1:] }

// Cut begins a fault. What is frozen is not lost: it goes on when the fault ends.
func (l *Link) Cut(kind fault.Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch kind {
	case fault.Freeze:
		if l.thawed == nil {
			l.thawed = make(chan struct{})
		}
	case fault.Slow:
		l.delay = Slowness
	default:
		l.refused = true
		for conn := range l.open {
			reset(conn)
		}
	}
}

// Mend ends a fault. One of another kind on the same link goes on.
func (l *Link) Mend(kind fault.Kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case kind == fault.Slow:
		l.delay = 0
	case kind == fault.Refuse:
		l.refused = false
	case l.thawed != nil:
		close(l.thawed)
		l.thawed = nil
	}
}

// Close ends the link and all that goes over it.
func (l *Link) Close() error {
	err := l.listener.Close()
	l.Cut(fault.Refuse)
	l.Mend(fault.Freeze)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (l *Link) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		go l.serve(conn)
	}
}

func (l *Link) serve(from net.Conn) {
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
func (l *Link) keep(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refused {
		reset(conn)
		return false
	}
	l.open[conn] = true
	return true
}

func (l *Link) drop(conn net.Conn) {
	l.mu.Lock()
	delete(l.open, conn)
	l.mu.Unlock()
	_ = conn.Close() // nobody is left to tell
}

// pass waits as long as the link is frozen.
func (l *Link) pass() {
	l.mu.Lock()
	thawed := l.thawed
	l.mu.Unlock()
	if thawed != nil {
		<-thawed
	}
}

// parcel is a part of what one side says, and when the other may hear it. One without content is the end.
type parcel struct {
	content []byte
	tick    time.Time
}

// underway is how many parcels may be on a slow link: so many that it is slow, but not narrow.
const underway = 4096

func (l *Link) pump(to, from net.Conn) {
	parcels := make(chan parcel, underway)
	var writer sync.WaitGroup
	writer.Go(func() { l.deliver(to, from, parcels) })
	defer writer.Wait()
	defer close(parcels)
	for buffer := make([]byte, 32<<10); ; {
		n, err := from.Read(buffer)
		if n > 0 {
			parcels <- parcel{slices.Clone(buffer[:n]), l.due()}
		}
		switch {
		case errors.Is(err, io.EOF):
			parcels <- parcel{tick: l.due()}
			return
		case err != nil:
			reset(to)
			return
		}
	}
}

// When the other side may receive what is sent now.
func (l *Link) due() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.delay)
}

// deliver takes all parcels, so that nobody waits for it, and drops them when the other side is not there any more.
func (l *Link) deliver(to, from net.Conn, parcels <-chan parcel) {
	broken := false
	for p := range parcels {
		if broken {
			continue
		}
		time.Sleep(time.Until(p.tick))
		l.pass()
		if len(p.content) == 0 {
			_ = to.(*net.TCPConn).CloseWrite() // it may be closed
		} else if _, err := to.Write(p.content); err != nil {
			reset(from)
			broken = true
		}
	}
}

// reset closes a connection so that the other side sees an error, as when a machine goes.
func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}
