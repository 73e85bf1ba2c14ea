package reportapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/khronicle/khronicle/internal/httpserver"
	"github.com/khronicle/khronicle/reportapi"
)

// pipes is a network in memory, so that the tests below run on the clock of their bubble.
type pipes struct {
	connections chan net.Conn
	closed      context.Context
	close       context.CancelFunc
}

func newPipes() *pipes {
	p := &pipes{connections: make(chan net.Conn)}
	p.closed, p.close = context.WithCancel(context.Background())
	return p
}

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.connections <- server
	return client
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case connection := <-p.connections:
		return connection, nil
	case <-p.closed.Done():
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// inBubble serves the routes on a network in memory for the time of a test.
func inBubble(t *testing.T, temporal reportapi.Signaler, test func(t *testing.T, connection net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := options(temporal, nil)
		server, err := reportapi.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = server.Close() }()
		network := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- httpserver.Serve(ctx, network, server.Routes(), o.Logger) }()
		connection := network.dial()
		test(t, connection)
		_ = connection.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

const head = "POST /externalCheckStatus HTTP/1.1\r\nHost: x\r\nkh-run-uuid: " + runUUID + "\r\nContent-Length: %d\r\n\r\n"

func TestTemporalThatNeverAnswersIs503WithinSeconds(t *testing.T) {
	temporal := &fakeTemporal{answer: func(ctx context.Context, _ signal) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	inBubble(t, temporal, func(t *testing.T, connection net.Conn) {
		began := time.Now()
		if _, err := fmt.Fprintf(connection, head+`{"OK":true}`, 11); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusServiceUnavailable || response.ContentLength != 0 || response.Close {
			t.Errorf("%d with %d bytes, want an empty 503 on an open connection", response.StatusCode, response.ContentLength)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %s, want 2s", took)
		}
	})
}

func TestSlowBodyIsCutOff(t *testing.T) {
	temporal := &fakeTemporal{}
	inBubble(t, temporal, func(t *testing.T, connection net.Conn) {
		began := time.Now()
		if _, err := fmt.Fprintf(connection, head, 1000); err != nil {
			t.Fatal(err)
		}
		var drip sync.WaitGroup
		drip.Go(func() { // a byte each second
			for err := error(nil); err == nil; {
				_, err = connection.Write([]byte(" "))
				time.Sleep(time.Second)
			}
		})
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%d, want 400", response.StatusCode)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("took %s, want about 10s", took)
		}
		_ = connection.Close()
		drip.Wait()
	})
	if got := temporal.signals(); got != nil {
		t.Errorf("it was passed on: %v", got)
	}
}

func TestConnectionThatSaysNothingIsClosed(t *testing.T) {
	inBubble(t, &fakeTemporal{}, func(t *testing.T, connection net.Conn) {
		began := time.Now()
		_, err := connection.Read(make([]byte, 1))
		if err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want the server to hang up", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("took %s, want some seconds", took)
		}
	})
}
