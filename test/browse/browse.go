// Package browse keeps pages open as browsers do, to measure what that costs. Each loads a page, follows the stream of changes,
// and loads the page again after a change. It renders nothing.
package browse

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Pause is the time between a change and the load of the page after it, as in web/assets/script.js.
const Pause = 3 * time.Second

// retryAfter is the pause before a stream is opened again, as the server asks for.
const retryAfter = 2 * time.Second

// Browsers are pages that are open. See Open.
type Browsers struct {
	base   string
	pause  time.Duration
	client *http.Client
	group  sync.WaitGroup

	mu     sync.Mutex
	seen   Figures
	loads  []time.Duration
	errors []error
}

// Figures are what the pages have received.
type Figures struct {
	Pages int `json:"pages"`
	// Loads is how often a page was loaded, and LoadBytes what was sent for that, compressed.
	Loads     int   `json:"loads"`
	LoadBytes int64 `json:"loadBytes"`
	// P50 and P99 are how long a load took, in milliseconds.
	P50 float64 `json:"loadP50Milliseconds"`
	P99 float64 `json:"loadP99Milliseconds"`
	// Events is how many changes were received, and EventBytes what was sent for that.
	Events     int   `json:"events"`
	EventBytes int64 `json:"eventBytes"`
	// Failures is how many loads and streams failed.
	Failures int `json:"failures"`
}

// Open opens a number of overview pages at a base address without a slash at its end, until ctx ends. The pause is that between
// a change and a load.
func Open(ctx context.Context, base string, pages int, pause time.Duration) *Browsers {
	b := &Browsers{base: base, pause: pause, seen: Figures{Pages: pages}, client: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 2 * pages, DisableCompression: true, // the header is set by hand, and nothing is unpacked
	}}}
	for range pages {
		b.group.Go(func() { b.browse(ctx) })
	}
	return b
}

// Wait waits until the pages are closed, which is after the end of their context.
func (b *Browsers) Wait() {
	b.group.Wait()
	b.client.CloseIdleConnections()
}

// Figures returns what the pages have received since the last call, and what went wrong.
func (b *Browsers) Figures() (Figures, []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, errors := b.seen, b.errors
	if n := len(b.loads); n > 0 {
		slices.Sort(b.loads)
		found.P50, found.P99 = milliseconds(b.loads[n/2]), milliseconds(b.loads[n*99/100])
	}
	b.seen, b.loads, b.errors = Figures{Pages: found.Pages}, nil, nil
	return found, errors
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// browse is one page: it loads, listens, and loads again.
func (b *Browsers) browse(ctx context.Context) {
	changed := make(chan struct{}, 1)
	b.group.Go(func() { b.listen(ctx, changed) })
	for {
		b.load(ctx)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(b.pause):
		}
		select { // what has changed during the pause is in the next load
		case <-changed:
		default:
		}
	}
}

func (b *Browsers) load(ctx context.Context) {
	began := time.Now()
	n, err := b.get(ctx, "/", "text/html", func(body io.Reader) (int64, error) { return io.Copy(io.Discard, body) })
	took := time.Since(began)
	b.note(ctx, err, func() {
		b.seen.Loads++
		b.seen.LoadBytes += n
		b.loads = append(b.loads, took)
	})
}

// listen follows the stream of changes. The first event says that it begins.
func (b *Browsers) listen(ctx context.Context, changed chan<- struct{}) {
	for first := true; ctx.Err() == nil; {
		_, err := b.get(ctx, "/api/v1/changes", "text/event-stream", func(body io.Reader) (int64, error) {
			lines := bufio.NewScanner(body)
			lines.Buffer(nil, 4<<20)
			for lines.Scan() {
				begins := strings.HasPrefix(lines.Text(), "event: ")
				b.note(ctx, nil, func() {
					b.seen.EventBytes += int64(len(lines.Bytes()) + 1)
					if begins {
						b.seen.Events++
					}
				})
				if begins && !first {
					select {
					case changed <- struct{}{}:
					default:
					}
				}
				first = first && !begins
			}
			return 0, lines.Err()
		})
		b.note(ctx, err, func() {})
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

func (b *Browsers) get(ctx context.Context, path, accept string, read func(io.Reader) (int64, error)) (int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+path, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("Accept-Encoding", "gzip")
	response, err := b.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return read(response.Body)
}

// note counts something. What fails because the page is being closed does not count.
func (b *Browsers) note(ctx context.Context, err error, count func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		count()
	case ctx.Err() == nil:
		b.seen.Failures++
		if len(b.errors) < 10 {
			b.errors = append(b.errors, err)
		}
	}
}
