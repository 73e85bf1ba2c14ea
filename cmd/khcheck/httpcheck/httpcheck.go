package httpcheck

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// maxBody is how many bytes of an answer are searched for the wanted text.
	maxBody = 10 << 20
	// maxExcerpt is how many bytes of an answer without the wanted text are shown.
	maxExcerpt = 100
)

// Run sends the requests one after another until ctx ends, and returns what is wrong. If there are several requests, the first
// text says how many passed. The other texts are the faults, each once.
func (c Config) Run(ctx context.Context) []string {
	client := c.client()
	defer client.CloseIdleConnections()
	var faults tally
	passed := 0
	for sent := range c.Count {
		if sent > 0 && !sleep(ctx, c.Pause) {
			faults.add(fmt.Sprintf("time ran out after %d of %d requests", sent, c.Count))
			break
		}
		if err := c.request(ctx, client); err != nil {
			faults.add(err.Error())
		} else {
			passed++
		}
	}
	if passed*100 >= c.PassingPercent*c.Count {
		return nil
	}
	return c.describe(passed, faults)
}

// client returns a client that opens a connection for each request, as a new user of the URL would. It follows redirects, unless
// the expected status is a redirect.
func (c Config) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true
	client := &http.Client{Transport: transport}
	if slices.ContainsFunc(c.WantStatus, func(code int) bool { return code/100 == 3 }) {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

// request sends one request and returns what is wrong with its answer.
func (c Config) request(ctx context.Context, client *http.Client) error {
	request, err := http.NewRequestWithContext(ctx, c.Method, c.URL.String(), strings.NewReader(c.Body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err // names the method and the URL, without its password
	}
	defer response.Body.Close()
	if !slices.Contains(c.WantStatus, response.StatusCode) {
		return fmt.Errorf("%s %s: status %d, want %s", c.Method, c.URL.Redacted(), response.StatusCode, c.wantCodes())
	}
	return c.searchBody(response.Body)
}

// searchBody returns nil if the wanted text is in the body.
func (c Config) searchBody(body io.Reader) error {
	if c.WantText == "" {
		return nil
	}
	content, err := io.ReadAll(io.LimitReader(body, maxBody))
	if err != nil {
		return fmt.Errorf("%s %s: read body: %w", c.Method, c.URL.Redacted(), err)
	}
	if bytes.Contains(content, []byte(c.WantText)) {
		return nil
	}
	return fmt.Errorf("%s %s: body does not contain %q; it begins with %q",
		c.Method, c.URL.Redacted(), c.WantText, content[:min(len(content), maxExcerpt)])
}

func (c Config) wantCodes() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(c.WantStatus), " ", " or "), "[]")
}

// describe puts the faults of a check that did not pass into words.
func (c Config) describe(passed int, faults tally) []string {
	if c.Count == 1 {
		return faults.texts()
	}
	summary := fmt.Sprintf("%s %s: %d of %d requests passed, want %d%%",
		c.Method, c.URL.Redacted(), passed, c.Count, c.PassingPercent)
	return append([]string{summary}, faults.texts()...)
}

// sleep waits. It returns false if ctx ends first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
