//go:build linux

package netns

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// dialTimeout is generous: both ends are on this machine.
const dialTimeout = 10 * time.Second

// DialFunc opens the far side of a forwarded connection.
type DialFunc func(ctx context.Context) (net.Conn, error)

// Forward accepts connections until the listener is closed and joins each of them to a new one from dial.
// A connection whose far side cannot be reached is closed at once.
func Forward(ln net.Listener, dial DialFunc) error {
	for {
		near, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of file descriptors, most likely: give the others time to end.
			slog.Warn("accept connection", "address", ln.Addr().String(), "error", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		go serve(near, dial)
	}
}

func serve(near net.Conn, dial DialFunc) {
	defer near.Close()
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	far, err := dial(ctx)
	if err != nil {
		return
	}
	defer far.Close()
	Join(near, far)
}

// Join copies both ways until both sides have said their last word. The end of one direction
// closes only the writing half of the other side: an answer may still be on its way.
func Join(a, b net.Conn) {
	var wg sync.WaitGroup
	wg.Go(func() { pump(a, b) })
	wg.Go(func() { pump(b, a) })
	wg.Wait()
}

func pump(dst, src net.Conn) {
	_, err := io.Copy(dst, src)
	if err != nil {
		// A broken direction ends both; waiting for the other could take for ever.
		dst.Close()
		src.Close()
		return
	}
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
