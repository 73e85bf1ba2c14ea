package reportapi

import (
	"context"
	"net"
	"net/http"
)

// Routes lets a test serve on a listener of its own.
func (s *Server) Routes() http.Handler { return s.routes() }

// ServeOn serves on a listener of the test's.
func (s *Server) ServeOn(ctx context.Context, l net.Listener) error {
	if err := s.Close(); err != nil {
		return err
	}
	s.listener = l
	return s.Serve(ctx)
}

// Close frees the address of a server that never serves.
func (s *Server) Close() error { return s.listener.Close() }

// What a report may weigh, for tests that go to the limit.
const MaxReport = maxReport
