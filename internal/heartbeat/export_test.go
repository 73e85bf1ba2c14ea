package heartbeat

import "net/http"

// SetTransport replaces the way to the service.
func (h *Heart) SetTransport(transport http.RoundTripper) { h.client.Transport = transport }
