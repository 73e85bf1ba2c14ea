package web

import (
	"context"
	"html/template"
	"sync"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// recentFor is how long the pictures of a check are used, if it has no new outcome.
const recentFor = 20 * time.Second

// recentRuns remembers the pictures of the last runs of checks, so that many readers cost the ledger no more than one.
type recentRuns struct {
	mu    sync.Mutex
	known map[check.Ref]pictures
}

// pictures are those of the last runs of a check.
type pictures struct {
	Bars, Spark template.HTML
	// until is when they are read again, and of is the outcome that they include.
	until, of time.Time
}

// recently returns the pictures of the last runs of a check.
func (p *Pages) recently(ctx context.Context, c *view.Check, s *view.Snapshot) (pictures, error) {
	concluded := time.Time{}
	if c.LastRun != nil {
		concluded = c.LastRun.Concluded
	}
	if found, ok := p.recent.get(c.Ref); ok && found.of.Equal(concluded) && s.At.Before(found.until) {
		return found, nil
	}
	page, err := p.View.Runs(ctx, c.Ref, view.RunsQuery{Limit: recentLimit})
	if err != nil {
		return pictures{}, err
	}
	made := pictures{Bars: barsOf(page.Runs), Spark: sparkOf(page.Runs), until: s.At.Add(recentFor), of: concluded}
	p.recent.put(c.Ref, made, 2*len(s.Checks)+100)
	return made, nil
}

func (r *recentRuns) get(ref check.Ref) (pictures, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	found, ok := r.known[ref]
	return found, ok
}

// put remembers pictures. Beyond a limit it forgets the others, of which most are of checks that were deleted.
func (r *recentRuns) put(ref check.Ref, made pictures, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= limit {
		r.known = map[check.Ref]pictures{}
	}
	r.known[ref] = made
}
