package reportapi

import "net/http"

// Routes lets a test serve on a listener of its own.
func (s *Server) Routes() http.Handler { return s.routes() }

// Close frees the address of a server that never serves.
func (s *Server) Close() error { return s.listener.Close() }

// What a report may weigh, for tests that go to the limit.
const MaxReport = maxReport
