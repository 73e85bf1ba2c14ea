// Package deadman reports the heartbeat of an installation: the sign that Temporal starts workflows and that a worker does
// their work. Each heartbeat sets a metric. If a URL is configured, each heartbeat is also one request to that URL.
// The service at the URL, such as healthchecks.io, raises an alarm when the requests stop. The package decides nothing
// about checks.
package deadman

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The limits of one request to the service.
const (
	timeout = 10 * time.Second
	tries   = 2
)

// Switch is a dead man's switch. It is a prometheus.Collector of its metrics.
type Switch struct {
	// url is a secret: whoever has it can send heartbeats in our place. Empty means that there is no service.
	url    string
	client *http.Client
	logger *slog.Logger
	// last is the time of the last heartbeat in Unix seconds, 0 before the first.
	last atomic.Int64
	sent *prometheus.CounterVec
}

// New returns a switch that sends each heartbeat to the service at address. An empty address means no service.
func New(address string, logger *slog.Logger) (*Switch, error) {
	if err := Validate(address); err != nil {
		return nil, err
	}
	return &Switch{
		url: address, logger: logger, sent: newCounter(),
		client: &http.Client{
			Timeout: timeout,
			// A redirect is a failure, so that the secret is not sent to another address.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Validate returns what is wrong with the address of a service. An empty address is right. Its errors do not show the address.
func Validate(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("want a URL such as https://hc-ping.com/UUID (the value is a secret and not shown)")
	}
	return nil
}

// Heartbeat records the time, and sends a request to the service. A failure is logged and counted, and is no error, because
// the next heartbeat follows soon.
func (s *Switch) Heartbeat(ctx context.Context) {
	s.last.Store(time.Now().Unix())
	if s.url == "" {
		return
	}
	var err error
	for range tries {
		if err = s.send(ctx); err == nil {
			s.sent.WithLabelValues(success).Inc()
			return
		}
	}
	s.sent.WithLabelValues(failure).Inc()
	s.logger.Warn("heartbeat was not sent", "error", err)
}

// send makes one request to the URL. Each status from 200 to 299 is a success. Its errors do not show the URL.
func (s *Switch) send(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return errors.New("make the request") // the cause shows the URL
	}
	request.Header.Set("User-Agent", "khronicle")
	response, err := s.client.Do(request)
	var withURL *url.Error
	if errors.As(err, &withURL) {
		err = withURL.Err
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the answer is %d", response.StatusCode)
	}
	return nil
}
