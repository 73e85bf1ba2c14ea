package web

import (
	"context"
	"net/http"
	"strconv"
	"sync"

	"github.com/khronicle/khronicle/internal/answer"
	"github.com/khronicle/khronicle/view"
)

// rendered is a page as it is sent.
type rendered struct {
	status int
	body   []byte
	// packed is body as gzip. It is made once, when a client asks for it.
	packing sync.Once
	packed  []byte
}

// write sends a page. Nobody stores it, because errors and logs may hold secrets.
func (p *rendered) write(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept, Accept-Encoding")
	if p.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "2")
	}
	sent := p.body
	if answer.AcceptsGzip(r.Header) {
		p.packing.Do(func() {
			if made, packed, err := answer.Pack(r.Header, p.body); packed && err == nil { // a small page stays as it is
				p.packed = made
			}
		})
		if p.packed != nil {
			sent = p.packed
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("Content-Length", strconv.Itoa(len(sent)))
	w.WriteHeader(p.status)
	_, _ = w.Write(sent) // the client may have left
}

// Bounds of the pages that are remembered. Most readers look at the same few.
const (
	maxMade      = 16
	maxMadeBytes = 1 << 20
)

// madePages remembers the pages of one snapshot, by their addresses. After a change, all browsers that show a page load it at
// nearly the same time, and it is made once for them.
type madePages struct {
	mu    sync.Mutex
	of    *view.Snapshot
	pages map[string]*making
}

// making is a page that is being made, or was made. page is set when done is closed. It is nil if others cannot use it.
type making struct {
	done chan struct{}
	page *rendered
}

// get returns a page of a snapshot. The first who asks for it builds it, and the others wait for that.
func (m *madePages) get(ctx context.Context, of *view.Snapshot, address string, build func() (*rendered, error)) (*rendered, error) {
	found, first := m.begin(of, address)
	switch {
	case found == nil:
		return build()
	case first:
		defer close(found.done)
		page, err := build()
		// A page of which a part is missing because its reader has left is for nobody else.
		if err == nil && page.status == http.StatusOK && len(page.body) <= maxMadeBytes && ctx.Err() == nil {
			found.page = page
		}
		return page, err
	}
	select {
	case <-found.done:
	case <-ctx.Done():
	}
	if page := found.of(); page != nil {
		return page, nil
	}
	return build()
}

// of returns the page if it has been made and others can use it.
func (m *making) of() *rendered {
	select {
	case <-m.done:
		return m.page
	default:
		return nil
	}
}

// begin returns the page of an address, and whether it must be made now. It returns nil for a page that is not remembered.
func (m *madePages) begin(of *view.Snapshot, address string) (page *making, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of != of {
		m.of, m.pages = of, map[string]*making{}
	}
	if found, ok := m.pages[address]; ok {
		return found, false
	}
	if len(m.pages) >= maxMade {
		return nil, false
	}
	page = &making{done: make(chan struct{})}
	m.pages[address] = page
	return page, true
}
