package deadman

import "net/http"

// SetTransport replaces the way to the service.
func (s *Switch) SetTransport(transport http.RoundTripper) { s.client.Transport = transport }
