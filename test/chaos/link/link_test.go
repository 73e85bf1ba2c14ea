package link_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/khronicle/khronicle/test/chaos/fault"
	"github.com/khronicle/khronicle/test/chaos/link"
)

// echo answers each line with the same line.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

type caller struct {
	net.Conn
	lines *bufio.Reader
}

func call(t *testing.T, l *link.Link) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &caller{conn, bufio.NewReader(conn)}
}

// say sends a line and waits for it to come back.
func (c *caller) say(t *testing.T, line string, within time.Duration) error {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return err
	}
	got, err := c.lines.ReadString('\n')
	if err == nil && got != line+"\n" {
		t.Errorf("said %q, heard %q", line, got)
	}
	return err
}

const soon = 5 * time.Second

func TestLink(t *testing.T) {
	l, err := link.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	before := call(t, l)
	if err := before.say(t, "open", soon); err != nil {
		t.Fatal(err)
	}

	l.Cut(fault.Freeze)
	if err := before.say(t, "frozen", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a frozen link: %v, want no answer", err)
	}
	fresh := call(t, l)
	if err := fresh.say(t, "frozen", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection over a frozen link: %v, want no answer", err)
	}
	l.Mend(fault.Freeze)
	for _, c := range []*caller{before, fresh} {
		if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.lines.ReadString('\n'); got != "frozen\n" {
			t.Errorf("after the frost came %q, error %v, want what was said in it", got, err)
		}
	}

	l.Cut(fault.Refuse)
	if err := before.say(t, "refused", soon); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a cut link: %v, want an end at once", err)
	}
	if conn, err := net.Dial("tcp", l.Address()); err == nil {
		late := &caller{conn, bufio.NewReader(conn)}
		if err := late.say(t, "refused", soon); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a new connection over a cut link: %v, want an end at once", err)
		}
		_ = conn.Close()
	}
	l.Mend(fault.Refuse)
	if err := call(t, l).say(t, "open", soon); err != nil {
		t.Errorf("a mended link: %v", err)
	}

	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Address()); err == nil {
		t.Error("a closed link takes connections")
	}
}

// The end of what one side says is passed on, while the other still speaks.
func TestLinkPassesTheEndOn(t *testing.T) {
	l, err := link.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := call(t, l)
	if _, err := io.WriteString(c, "last words"); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "last words" || err != nil {
		t.Errorf("heard %q, error %v", got, err)
	}
}

// A call over a slow link takes two seconds more, also on a connection that existed before. Everything that is sent arrives
// in order.
func TestSlowLink(t *testing.T) {
	l, err := link.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := call(t, l)
	if err := c.say(t, "open", soon); err != nil {
		t.Fatal(err)
	}
	l.Cut(fault.Slow)
	began := time.Now()
	if err := c.say(t, "slow", soon); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 2*link.Slowness {
		t.Errorf("a call took %s, want %s", took, 2*link.Slowness)
	}
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "late\n"); err != nil {
		t.Fatal(err)
	}
	l.Mend(fault.Slow)
	for _, line := range []string{"late\n", "quick\n"} {
		if _, err := io.WriteString(c, "quick\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := c.lines.ReadString('\n'); got != line {
			t.Errorf("heard %q, error %v, want %q", got, err, line)
		}
	}
}

// A link that is mended of one fault still has the other.
func TestFaultsOnOneLink(t *testing.T) {
	l, err := link.New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := call(t, l)
	l.Cut(fault.Freeze)
	l.Cut(fault.Slow)
	l.Mend(fault.Slow)
	if err := c.say(t, "frozen", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a frozen link: %v, want no answer", err)
	}
	l.Cut(fault.Freeze) // again: those who wait for the thaw must hear of it
	l.Mend(fault.Freeze)
	if err := c.SetDeadline(time.Now().Add(soon)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.lines.ReadString('\n'); got != "frozen\n" {
		t.Errorf("after the frost came %q, error %v", got, err)
	}
}
