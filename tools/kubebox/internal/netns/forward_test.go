//go:build linux

package netns_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/khronicle/khronicle/tools/kubebox/internal/netns"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// forwarder returns the address of a forwarder to the far address.
func forwarder(t *testing.T, dial netns.DialFunc) string {
	t.Helper()
	ln := listen(t)
	go func() { _ = netns.Forward(ln, dial) }()
	return ln.Addr().String()
}

func dialTo(address string) netns.DialFunc {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
}

func connect(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn)
}

func TestForwardAnswersAfterTheRequestSideIsClosed(t *testing.T) {
	server := listen(t)
	go func() {
		c, err := server.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		all, _ := io.ReadAll(c) // the answer needs the whole request
		_, _ = c.Write(bytes.ToUpper(all))
	}()
	c := connect(t, forwarder(t, dialTo(server.Addr().String())))
	want := bytes.Repeat([]byte("X"), 1<<20)
	go func() {
		_, _ = c.Write(bytes.Repeat([]byte("x"), 1<<20))
		_ = c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %d bytes back, want %d in upper case", len(got), len(want))
	}
}

func TestForwardClosesWhenTheFarSideIsAbsent(t *testing.T) {
	c := connect(t, forwarder(t, func(context.Context) (net.Conn, error) { return nil, errors.New("absent") }))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read error = %v, want EOF", err)
	}
}

func TestForwardEndsWithItsListener(t *testing.T) {
	ln := listen(t)
	done := make(chan error, 1)
	go func() { done <- netns.Forward(ln, dialTo("127.0.0.1:1")) }()
	ln.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Forward did not return")
	}
}

func TestNamespaceOfThisProcessReachesItsListeners(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("KHRONICLE_REQUIRE_ALL") == "1" {
			t.Fatal("entering a namespace needs root (KHRONICLE_REQUIRE_ALL is set)")
		}
		t.Skip("entering a namespace needs root")
	}
	n, err := netns.Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := n.Dial(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
