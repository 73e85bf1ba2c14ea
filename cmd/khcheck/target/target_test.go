package target_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/khronicle/khronicle/cmd/khcheck/target"
)

func TestServe(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- target.Serve(ctx, listener) }()

	response, err := http.Get("http://" + listener.Addr().String() + "/any/path")
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || string(body) != "ok\n" {
		t.Errorf("got %d %q %v, want 200 ok", response.StatusCode, body, err)
	}

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestServeReturnsItsError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	_ = listener.Close()
	if err := target.Serve(t.Context(), listener); err == nil {
		t.Error("a listener that is closed gave no error")
	}
}
