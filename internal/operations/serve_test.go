package operations_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/khronicle/khronicle/internal/operations"
)

// pipes is a network in memory, so that time in these tests is that of their bubble.
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

// serve answers with the handler; stop ends it, and ended gives the error of Serve.
func serve(t *testing.T, handler http.HandlerFunc) (network *pipes, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	network = newPipes()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- operations.Serve(ctx, network, handler, slog.New(slog.DiscardHandler)) }()
	return network, stop, done
}

func send(t *testing.T, connection net.Conn, request string) {
	t.Helper()
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
}

const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

func ok(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func TestServeUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, stop, ended := serve(t, ok)
		connection := network.dial()
		for range 2 { // the connection stays open
			send(t, connection, get)
			response, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err != nil || response.StatusCode != http.StatusOK {
				t.Fatalf("got %v %v, want 200", response, err)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func TestServeWithAContextThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := operations.Serve(ctx, network, http.HandlerFunc(ok), slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("serve: %v", err)
		}
		if network.closed.Err() == nil {
			t.Error("the listener was left open")
		}
	})
}

func TestServeReturnsTheErrorOfItsListener(t *testing.T) {
	network := newPipes()
	_ = network.Close()
	err := operations.Serve(t.Context(), network, http.HandlerFunc(ok), slog.New(slog.DiscardHandler))
	if !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "serve pipes: ") {
		t.Errorf("got %v, want that the listener is closed", err)
	}
}

func TestStopWaitsForARequestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, stop, ended := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(4 * time.Second)
			if r.Context().Err() != nil {
				t.Error("the request in flight was cancelled")
			}
			w.WriteHeader(http.StatusOK)
		})
		connection := network.dial()
		send(t, connection, get)
		synctest.Wait() // a request that has not been read yet is cut off
		stop()
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("got %v %v, want 200", response, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		network, stop, ended := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
		connection := network.dial()
		send(t, connection, get)
		synctest.Wait()
		began := time.Now()
		stop()
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that the time was over", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %s, want 5s", took)
		}
		close(release)
		_ = connection.Close()
		synctest.Wait()
	})
}

// TestSlowClientsAreCutOff: none of them can hold a connection, and the memory behind it, for long.
func TestSlowClientsAreCutOff(t *testing.T) {
	tests := []struct {
		name, request string
		within        time.Duration
	}{
		{"says nothing", "", 5 * time.Second},
		{"half a request line", "GET / HT", 5 * time.Second},
		{"half a header", "GET / HTTP/1.1\r\nHost: x\r\nA: b", 5 * time.Second},
		{"half a body", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345", 10 * time.Second},
		{"idle after an answer", get, 2 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, stop, ended := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err != nil {
						w.WriteHeader(http.StatusBadRequest)
					}
				})
				connection := network.dial()
				began := time.Now()
				send(t, connection, tt.request)
				if _, err := io.Copy(io.Discard, connection); err != nil {
					t.Errorf("got %v, want the server to hang up", err)
				}
				if took := time.Since(began); took < tt.within || took > tt.within+time.Second {
					t.Errorf("took %s, want %s", took, tt.within)
				}
				stop()
				if err := <-ended; err != nil {
					t.Errorf("serve: %v", err)
				}
			})
		})
	}
}

func TestAnswerThatIsNotReadIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 1)
		network, stop, ended := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			failed <- err
		})
		connection := network.dial()
		began := time.Now()
		send(t, connection, get)
		if err := <-failed; err == nil {
			t.Error("all was written, though nobody read it")
		}
		if took := time.Since(began); took > 31*time.Second {
			t.Errorf("took %s, want 30s", took)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}
