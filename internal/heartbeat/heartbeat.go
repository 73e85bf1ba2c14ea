// Package heartbeat is the dead man's switch of an installation: as long as it beats, Temporal starts what is due and a
// worker does it. A beat sets a metric and, where one is named, asks for a URL of a service that raises the alarm when
// nobody asks any more, such as healthchecks.io. It decides nothing about checks.
package heartbeat

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

// Bounds of one beat to the outside.
const (
	timeout = 10 * time.Second
	tries   = 2
)

// Heart beats. It is a prometheus.Collector of its metrics.
type Heart struct {
	// url is a secret: who has it can beat for us. Empty means that no service is told.
	url    string
	client *http.Client
	logger *slog.Logger
	// last is the time of the last beat in Unix seconds, 0 before the first.
	last atomic.Int64
	sent *prometheus.CounterVec
}

// New returns a heart that tells the service at address of each beat; an empty address means none.
func New(address string, logger *slog.Logger) (*Heart, error) {
	if err := Validate(address); err != nil {
		return nil, err
	}
	return &Heart{
		url: address, logger: logger, sent: newCounter(),
		client: &http.Client{
			Timeout: timeout,
			// An address that has moved is a failure, not a way for the secret to go elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Validate returns what is wrong with the address of a service; the empty one is right. Its errors do not show the address.
func Validate(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("the URL of the heartbeat is not one such as https://hc-ping.com/UUID (it is not shown, as it is a secret)")
	}
	return nil
}

// Beat notes the time, and tells the service. That this fails is logged and counted, and is no error: the next beat follows
// soon.
func (h *Heart) Beat(ctx context.Context) {
	h.last.Store(time.Now().Unix())
	if h.url == "" {
		return
	}
	var err error
	for range tries {
		if err = h.send(ctx); err == nil {
			h.sent.WithLabelValues(success).Inc()
			return
		}
	}
	h.sent.WithLabelValues(failure).Inc()
	h.logger.Warn("heartbeat was not sent", "error", err)
}

// send asks for the URL once. Any answer of 200 to 299 is a success. Its errors do not show the URL.
func (h *Heart) send(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return errors.New("make the request") // the cause shows the URL
	}
	request.Header.Set("User-Agent", "khronicle")
	response, err := h.client.Do(request)
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
