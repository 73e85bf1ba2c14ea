// Package target is an HTTP server that answers every request with "ok". The checks of the examples send requests to it.
package target

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Addr is the address on which the examples' target listens.
const Addr = ":8080"

// drain is how long requests in flight may take when the server stops.
const drain = 5 * time.Second

// Serve answers requests on listener until ctx ends, and returns nil then.
func Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: http.HandlerFunc(answer), ReadHeaderTimeout: 5 * time.Second}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	<-drained
	return nil
}

// answer answers 200 "ok" for every path and every method.
func answer(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, "ok\n")
}
