package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are the settings of a ledger. The zero value means the defaults.
type Options struct {
	// MaxBatch is how many accounts one transaction may hold, 256 by default.
	MaxBatch int
	// WriteTimeout bounds one transaction, 30 s by default.
	WriteTimeout time.Duration
	// MaxConns is how many connections read at once, and for PostgreSQL also write; 8 by default.
	MaxConns int
	// Now is the clock that says when an account was recorded; time.Now by default.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.MaxBatch == 0 {
		o.MaxBatch = 256
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.MaxConns == 0 {
		o.MaxConns = 8
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	if o.MaxBatch < 0 || o.MaxBatch > 10_000 || o.WriteTimeout < 0 || o.MaxConns < 0 || o.MaxConns > 1000 {
		return errors.New("ledger: options: MaxBatch must be at most 10000, MaxConns at most 1000, and none negative")
	}
	return nil
}

// Ledger is the store of accounts. It may be used by many goroutines, and a database by many ledgers.
type Ledger struct {
	store   store
	options Options

	sending sync.RWMutex // held for reading while something is put into the queue
	closed  bool
	queue   chan *request
	writer  sync.WaitGroup

	words map[string]int64 // used by the writer alone
	stats stats
}

// ErrClosed is the error of a ledger after Close.
var ErrClosed = errors.New("the ledger is closed")

// Open opens the database that dsn names and brings its schema up to date: "sqlite:PATH" or a bare path is a file, on a
// local disk, that is made where it is missing; "postgres://…" is a database of a PostgreSQL server.
func Open(ctx context.Context, dsn string, options Options) (*Ledger, error) {
	return openAt(ctx, dsn, options, latest)
}

func openAt(ctx context.Context, dsn string, options Options, version int) (*Ledger, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	s, err := openStore(ctx, dsn, options)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	if err := migrate(ctx, s, version); err != nil {
		return nil, fmt.Errorf("open ledger: %w", errors.Join(err, s.close()))
	}
	return newLedger(s, options), nil
}

func newLedger(s store, options Options) *Ledger {
	l := &Ledger{store: s, options: options, queue: make(chan *request, 1024), words: map[string]int64{}}
	l.stats.now = options.Now
	l.writer.Go(l.writeAll)
	return l
}

func openStore(ctx context.Context, dsn string, options Options) (store, error) {
	path, isFile, err := SQLitePath(dsn)
	switch {
	case err != nil:
		return nil, err
	case isFile:
		return openSQLite(ctx, path, options.MaxConns)
	}
	return openPostgres(ctx, dsn, options.MaxConns, nil)
}

// SQLitePath returns the file that dsn names; isFile is false when it names a PostgreSQL database. The error says what a
// ledger may be named; it does not show the name, which may hold a password.
func SQLitePath(dsn string) (path string, isFile bool, err error) {
	scheme, _, isURL := strings.Cut(dsn, "://")
	if isURL && (scheme == "postgres" || scheme == "postgresql") {
		return "", false, nil
	}
	path = strings.TrimPrefix(dsn, "sqlite:")
	if isURL || path == "" || strings.Contains(path, ":memory:") {
		return "", false, errors.New(`want "sqlite:PATH", a path or "postgres://…"`)
	}
	return path, true, nil
}

// Close stores what waits and closes the database. The ledger is of no use afterwards.
func (l *Ledger) Close() error {
	l.sending.Lock()
	if l.closed {
		l.sending.Unlock()
		return nil
	}
	l.closed = true
	close(l.queue)
	l.sending.Unlock()
	l.writer.Wait()
	return l.store.close()
}

// Begin opens the account of a run: its row exists from now on. It replaces one of a tick without a run. Where the run has
// one already, open or closed, nothing changes; where another run has, the error is ErrOtherRun.
func (l *Ledger) Begin(ctx context.Context, a Account) error {
	a.Outcome = Unfinished
	return l.record(ctx, begin, a)
}

// Finish closes the account of a run; a row that is missing is made, and one of a tick without a run replaced. An account
// that is closed is replaced by a higher Revision of the same run, and by nothing else: to finish again changes nothing, and
// the error for another run is ErrOtherRun. What is given is the whole account: nothing of an earlier one is kept.
func (l *Ledger) Finish(ctx context.Context, a Account) error {
	if a.Outcome == Unfinished {
		return fmt.Errorf("account %s: %w: it has no outcome", a.Key, ErrInvalid)
	}
	return l.record(ctx, finish, a)
}

// RecordTicks closes the accounts of ticks at which nothing was started: skipped, paused and missed ones. A tick that has a
// row keeps it as it is, and a run that says later that it took place replaces it. It returns those ticks that stand in the ledger
// as given, now or from before. Where it fails, some may be recorded: to repeat it is safe.
func (l *Ledger) RecordTicks(ctx context.Context, ticks []Account) (standing []Account, err error) {
	for _, a := range ticks {
		if !slices.Contains(withoutRun, a.Outcome) {
			return nil, fmt.Errorf("account %s: %w: outcome %q of a tick without a run", a.Key, ErrInvalid, a.Outcome)
		}
		if a.WorkflowID != "" {
			return nil, fmt.Errorf("account %s: %w: a tick without a run has no workflow ID", a.Key, ErrInvalid)
		}
		if err := a.validate(); err != nil {
			return nil, err
		}
	}
	for chunk := range slices.Chunk(ticks, l.options.MaxBatch) {
		r := &request{}
		for _, a := range chunk {
			r.changes = append(r.changes, l.change(tick, a))
		}
		if err := l.send(ctx, r); err != nil {
			return nil, fmt.Errorf("record %d ticks of %s/%s: %w", len(chunk), chunk[0].Namespace, chunk[0].Name, err)
		}
		standing = append(standing, r.standing...)
	}
	return standing, nil
}

func (l *Ledger) record(ctx context.Context, how intent, a Account) error {
	if err := a.validate(); err != nil {
		return err
	}
	if a.WorkflowID == "" {
		return fmt.Errorf("account %s: %w: a run needs a workflow ID", a.Key, ErrInvalid)
	}
	if err := l.send(ctx, &request{changes: []change{l.change(how, a)}}); err != nil {
		return fmt.Errorf("account %s: %w", a.Key, err)
	}
	return nil
}

func (l *Ledger) change(how intent, a Account) change {
	a = a.normal()
	if a.Outcome != Unfinished && a.Recorded.IsZero() {
		a.Recorded = micro(l.options.Now())
	}
	return change{intent: how, account: a}
}

// Ping returns why the database does not take accounts, and nil when it does. It makes a commit. That may still succeed on
// a disk which is too full for an account: hence accounts that failed in the last minute, with none stored since, count too.
func (l *Ledger) Ping(ctx context.Context) error {
	if err := errors.Join(l.send(ctx, &request{}), l.stats.failing()); err != nil {
		return fmt.Errorf("ping ledger: %w", err)
	}
	return nil
}
