package verb

import (
	"fmt"
	"net/http"
	"strconv"

	"k8s.io/client-go/rest"
)

// serviceProxy returns a client and the URL with which the HTTP server behind a Service is reached through the API server. The
// caller needs the right to get services/proxy, and no way into the cluster's network.
func serviceProxy(config *rest.Config, namespace, service string, port int) (*http.Client, string, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, "", fmt.Errorf("make client of the API server: %w", err)
	}
	config = rest.CopyConfig(config)
	config.GroupVersion = nil
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, "", fmt.Errorf("find the URL of the API server: %w", err)
	}
	return client, base.JoinPath("api/v1/namespaces", namespace, "services", service+":"+strconv.Itoa(port), "proxy").String(), nil
}
