package reportapi

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"

	"github.com/khronicle/khronicle/workflows"
)

// Limits of what a client can make Temporal do. Only the answer "unknown run" uses up a limit of a source. So a client
// whose runs are open meets no limit, unless another client behind the same address uses it up.
const (
	// A source may cause sourceBurst such answers at once, and sourceRate a second.
	sourceBurst = 50
	sourceRate  = 10
	// totalRate is how many such answers a second all sources may cause. Beyond it, a source that has caused one in the
	// last minute (suspectFor) is refused. Other sources are not.
	totalRate  = 200
	suspectFor = time.Minute
	// unknownFor is how long an answer "unknown run" holds for a run UUID. A run that has ended never opens again.
	unknownFor = 10 * time.Second
	// maxQuestions bounds the signals that were sent to runs not known to be open and have no answer yet. No limit has
	// counted these. One source has at most half of them.
	maxQuestions = 128
	// Bounds of the reports that one replica passes on to one run, in number and bytes. The run ignores all but the first,
	// and Temporal terminates a run with a history of 50 MiB.
	maxRunReports = 100
	maxRunBytes   = 2 << 20
)

// Sizes of the caches, in entries.
const (
	maxSources = 4096
	maxUnknown = 8192
	maxOpen    = 10_000
)

// Reasons to refuse a report without asking Temporal.
var (
	errRateLimited = errors.New("too many reports of unknown runs came from this address")
	errRunFull     = errors.New("too many reports of this run were accepted before")
)

// admission decides which reports are sent to Temporal.
type admission struct {
	total     *rate.Limiter
	questions slots

	mu sync.Mutex
	// own has the questions of each source, by address.
	own *lru.Cache
	// unknown has the time until which the answer "unknown run" holds, by run UUID.
	unknown *lru.Cache
	// open has the runs that accepted a report lately. asking has the runs whose first report is in flight. Both are by run
	// UUID.
	open   *lru.Cache
	asking map[string]*passedOn
	// sources has the sources that caused an answer "unknown run", by address.
	sources *lru.Cache
}

// passedOn counts the reports that were passed on to one run, and those in flight.
type passedOn struct{ reports, bytes, inFlight int }

// source is an address that caused answers "unknown run".
type source struct {
	limit *rate.Limiter
	last  time.Time
	// asking is how many questions of the source are in flight.
	asking int
}

// exhausted is true when the source has used up its limit. Its questions in flight count too: otherwise all its connections
// would pass with one token.
func (s *source) exhausted(now time.Time) bool {
	tokens := s.limit.TokensAt(now)
	return tokens < 1 || tokens < sourceBurst && tokens-float64(s.asking) < 1
}

func newAdmission() *admission {
	return &admission{
		total: rate.NewLimiter(totalRate, totalRate), questions: make(slots, maxQuestions), own: lru.New(maxSources),
		unknown: lru.New(maxUnknown), open: lru.New(maxOpen), asking: map[string]*passedOn{}, sources: lru.New(maxSources),
	}
}

// check returns why a report is refused before it is read, or nil.
func (a *admission) check(runUUID string, from netip.Addr) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refusal(runUUID, from, time.Now())
}

func (a *admission) refusal(runUUID string, from netip.Addr, now time.Time) error {
	if run := a.run(runUUID); run != nil && (run.reports >= maxRunReports || run.bytes >= maxRunBytes) {
		return errRunFull
	}
	if a.isOpen(runUUID) {
		return nil
	}
	if until, ok := a.unknown.Get(runUUID); ok && now.Before(until.(time.Time)) {
		return errUnknownRun
	}
	if known, ok := a.sources.Get(from); ok {
		s := known.(*source)
		if s.exhausted(now) || now.Sub(s.last) < suspectFor && a.total.TokensAt(now) < 1 {
			return errRateLimited
		}
	}
	return nil
}

func (a *admission) isOpen(runUUID string) bool {
	_, ok := a.open.Get(runUUID)
	return ok
}

// run returns what was passed on to a run, or nil.
func (a *admission) run(runUUID string) *passedOn {
	if run, ok := a.open.Get(runUUID); ok {
		return run.(*passedOn)
	}
	return a.asking[runUUID]
}

// signal passes a report of this many bytes on through send and learns from Temporal's answer, or returns why it refuses.
func (a *admission) signal(ctx context.Context, runUUID string, from netip.Addr, size int, send func() error) error {
	open, own := a.look(runUUID, from)
	if !open {
		for _, questions := range []slots{own, a.questions} {
			if err := questions.take(ctx); err != nil {
				return err
			}
			defer questions.free()
		}
	}
	asker, err := a.begin(runUUID, from, size)
	if err != nil {
		return err
	}
	err = send()
	a.end(runUUID, from, asker, err)
	return err
}

// look returns whether a run is known to be open, and the questions of a source.
func (a *admission) look(runUUID string, from netip.Addr) (open bool, own slots) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.own.Get(from); ok {
		return a.isOpen(runUUID), known.(slots)
	}
	own = make(slots, maxQuestions/2)
	a.own.Add(from, own)
	return a.isOpen(runUUID), own
}

// slots bounds the number of requests in flight.
type slots chan struct{}

func (s slots) take(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s slots) free() { <-s }

// begin counts a report before it is sent: a report whose answer is lost may be stored. It returns the source whose
// question the report is, or nil if that does not matter.
func (a *admission) begin(runUUID string, from netip.Addr, size int) (*source, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refusal(runUUID, from, time.Now()); err != nil { // others may have been answered meanwhile
		return nil, err
	}
	run := a.run(runUUID)
	if run == nil { // one report is always below the limits
		run = &passedOn{}
		a.asking[runUUID] = run
	}
	if run.bytes+size > maxRunBytes {
		return nil, errRunFull
	}
	run.reports++
	run.bytes += size
	run.inFlight++
	known, ok := a.sources.Get(from)
	if !ok || a.isOpen(runUUID) {
		return nil, nil
	}
	asker := known.(*source)
	asker.asking++
	return asker, nil
}

// end learns from Temporal's answer.
func (a *admission) end(runUUID string, from netip.Addr, asker *source, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if asker != nil {
		asker.asking--
	}
	run := a.run(runUUID)
	switch {
	case workflows.NotFound(err):
		a.open.Remove(runUUID)
		a.countUnknown(runUUID, from, time.Now())
	case err == nil && run != nil:
		a.open.Add(runUUID, run)
	}
	if run == nil { // its entry made room for others
		return
	}
	if run.inFlight--; run.inFlight == 0 || a.isOpen(runUUID) {
		delete(a.asking, runUUID)
	}
}

func (a *admission) countUnknown(runUUID string, from netip.Addr, now time.Time) {
	a.unknown.Add(runUUID, now.Add(unknownFor))
	known, ok := a.sources.Get(from)
	if !ok {
		known = &source{limit: rate.NewLimiter(sourceRate, sourceBurst)}
		a.sources.Add(from, known)
	}
	s := known.(*source)
	s.last = now
	s.limit.AllowN(now, 1)
	a.total.AllowN(now, 1)
}
