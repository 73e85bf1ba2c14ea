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
	// reading has an element while a reader asks the ledger.
	reading chan struct{}
}

// pictures are those of the last runs of a check.
type pictures struct {
	Bars, Spark template.HTML
	// until is when they are read again, and of is the outcome that they include.
	until, of time.Time
}

// recently returns the pictures of the last runs of some checks. Those that are not known are read at once. With an error it
// returns those that were known, of which some may be old.
func (p *Pages) recently(ctx context.Context, list []*view.Check, s *view.Snapshot) ([]pictures, error) {
	made, missing := p.recent.get(list, s.At)
	if len(missing) == 0 {
		return made, nil
	}
	select { // one reader asks the ledger, and the others find what it has read
	case p.recent.reading <- struct{}{}:
		defer func() { <-p.recent.reading }()
	case <-ctx.Done():
		return made, context.Cause(ctx)
	}
	if made, missing = p.recent.get(list, s.At); len(missing) == 0 {
		return made, nil
	}
	refs := make([]check.Ref, len(missing))
	for i, at := range missing {
		refs[i] = list[at].Ref
	}
	runs, err := p.View.Recent(ctx, refs, recentLimit)
	if err != nil {
		return made, err
	}
	for i, at := range missing {
		made[at] = pictures{Bars: barsOf(runs[i]), Spark: sparkOf(runs[i]), until: s.At.Add(recentFor), of: concludedOf(list[at])}
	}
	p.recent.put(list, made, 2*len(s.Checks)+100)
	return made, nil
}

// concludedOf is when the last outcome of a check was known. It is zero before the first one.
func concludedOf(c *view.Check) time.Time {
	if c.LastRun == nil {
		return time.Time{}
	}
	return c.LastRun.Concluded
}

// get returns the pictures that are known, and the indexes of the checks whose pictures must be read.
func (r *recentRuns) get(list []*view.Check, now time.Time) (made []pictures, missing []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	made = make([]pictures, len(list))
	for i, c := range list {
		found, ok := r.known[c.Ref]
		if made[i] = found; !ok || !found.of.Equal(concludedOf(c)) || !now.Before(found.until) {
			missing = append(missing, i)
		}
	}
	return made, missing
}

// put remembers pictures. Beyond a limit it forgets the others, of which most are of checks that were deleted.
func (r *recentRuns) put(list []*view.Check, made []pictures, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known)+len(list) > limit {
		r.known = map[check.Ref]pictures{}
	}
	for i, c := range list {
		r.known[c.Ref] = made[i]
	}
}
