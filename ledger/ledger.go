package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/khronicle/khronicle/check"
)

// Options are the settings of a ledger. The zero value means the defaults.
type Options struct {
	// MaxBatch is how many records one transaction may hold, 256 by default.
	MaxBatch int
	// WriteTimeout bounds one transaction, 10 s by default.
	WriteTimeout time.Duration
	// StallAfter is how long a transaction may take before further calls fail at once, 2 s by default.
	StallAfter time.Duration
	// MaxConns is how many connections read at once, 8 by default. Up to two more write.
	MaxConns int
	// Now is the clock that says when a record was stored; time.Now by default.
	Now func() time.Time
	// Retention says what Run removes.
	Retention Retention
	// Logger is where Run logs; nowhere by default.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	o.MaxBatch = cmp.Or(o.MaxBatch, 256)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.StallAfter = cmp.Or(o.StallAfter, 2*time.Second)
	o.MaxConns = cmp.Or(o.MaxConns, 8)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Validate returns what is wrong with the options.
func (o Options) Validate() error {
	if o.MaxBatch < 0 || o.MaxBatch > 10_000 || o.WriteTimeout < 0 || o.StallAfter < 0 || o.MaxConns < 0 || o.MaxConns > 1000 {
		return errors.New("ledger: options: MaxBatch must be at most 10000, MaxConns at most 1000, and none negative")
	}
	return o.Retention.Validate()
}

// Ledger is the store of records. Many goroutines may use one, and many ledgers may use one database.
type Ledger struct {
	dsn     string
	options Options
	current atomic.Pointer[store]

	sending sync.RWMutex // held for reading while a request is put into the queue
	closed  bool
	queue   chan *request
	writer  sync.WaitGroup

	dictionary map[string]int64 // used by the writer alone
	stats      stats
}

var (
	// ErrClosed is the error of a ledger after Close.
	ErrClosed = errors.New("the ledger is closed")
	// ErrUnavailable is the error of a ledger whose database is not open yet, or does not answer. The records of the call
	// may or may not be stored. It is safe to send them again.
	ErrUnavailable = errors.New("the ledger does not answer")
)

// New returns a ledger that Run opens. Until then, each call fails at once with ErrUnavailable. dsn is "sqlite:PATH", a
// bare path, or "postgres://…". A path names a file on a local disk, which is made if it is missing.
func New(dsn string, options Options) (*Ledger, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	_, isFile, err := SQLitePath(dsn)
	if err == nil && !isFile {
		_, err = pgxpool.ParseConfig(dsn)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	l := &Ledger{dsn: dsn, options: options.withDefaults(), queue: make(chan *request, 1024), dictionary: map[string]int64{}}
	l.stats.now = l.options.Now
	return l, nil
}

// Open opens the database that dsn names, as New describes it, and brings its schema up to date.
func Open(ctx context.Context, dsn string, options Options) (*Ledger, error) {
	l, err := New(dsn, options)
	if err != nil {
		return nil, err
	}
	return l, l.open(ctx)
}

func (l *Ledger) open(ctx context.Context) error {
	s, err := openStore(ctx, l.dsn, l.options)
	if err != nil {
		return fmt.Errorf("open ledger: %w", err)
	}
	err = migrate(ctx, s)
	if err == nil {
		err = adopt(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("open ledger: %w", errors.Join(err, s.close()))
	}
	l.use(withTimeout{s, l.options.WriteTimeout})
	return nil
}

// use sets the store of the ledger, and starts to write to it.
func (l *Ledger) use(s store) {
	l.current.Store(&s)
	l.writer.Go(l.writeAll)
}

// store returns the database. Before the ledger is open, it returns one that fails every call with ErrUnavailable.
func (l *Ledger) store() store {
	if s := l.current.Load(); s != nil {
		return *s
	}
	return unavailable{}
}

// reader returns where queries go. While the database does not answer, they fail at once with ErrUnavailable.
func (l *Ledger) reader() *sql.DB {
	if l.stalled() {
		return unavailable{}.reader()
	}
	return l.store().reader()
}

func openStore(ctx context.Context, dsn string, options Options) (store, error) {
	path, isFile, err := SQLitePath(dsn)
	if err != nil {
		return nil, err
	}
	if isFile {
		return openSQLite(ctx, path, options.MaxConns)
	}
	return openPostgres(ctx, dsn, options.MaxConns, nil)
}

// SQLitePath returns the file that dsn names. isFile is false when dsn names a PostgreSQL database. The error says which
// names are valid. It does not show dsn, which may hold a password.
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

// Close stores the requests that wait and closes the database. Each later call fails.
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
	return l.store().close()
}

// Begin opens the record of a run. It replaces the record of a tick without a run. If the run has a record, open or closed,
// nothing changes. If another run has it, the error is ErrOtherRun.
func (l *Ledger) Begin(ctx context.Context, r Record) error {
	r.Outcome = check.Unfinished
	return l.record(ctx, begin, r)
}

// Finish closes the record of a run. It adds the row if there is none, and replaces an open one or that of a tick without a
// run as a whole. Only a higher Revision of the same run replaces a closed record, so repeating the call changes nothing.
// If another run has a record, the error is ErrOtherRun.
func (l *Ledger) Finish(ctx context.Context, r Record) error {
	if r.Outcome == check.Unfinished {
		return fmt.Errorf("record %s: %w: it has no outcome", r.Key, ErrInvalid)
	}
	return l.record(ctx, finish, r)
}

// RecordTicks adds the records of ticks that started no run: skipped, paused and missed ones. A tick that has a row already
// is not changed. A run that takes place later replaces the record. The result has the new rows. If the call fails, some
// rows may be stored; repeating it is safe.
func (l *Ledger) RecordTicks(ctx context.Context, ticks []Record) (added []Record, err error) {
	for _, r := range ticks {
		if err := r.validateTick(); err != nil {
			return nil, err
		}
	}
	for chunk := range slices.Chunk(ticks, l.options.MaxBatch) {
		r := &request{}
		for _, t := range chunk {
			r.changes = append(r.changes, l.change(tick, t))
		}
		if err := l.send(ctx, r); err != nil {
			return added, fmt.Errorf("record %d ticks of %s/%s: %w", len(chunk), chunk[0].Namespace, chunk[0].Name, err)
		}
		added = append(added, r.added...)
	}
	return added, nil
}

func (l *Ledger) record(ctx context.Context, how intent, r Record) error {
	if err := r.validate(); err != nil {
		return err
	}
	if r.WorkflowID == "" {
		return fmt.Errorf("record %s: %w: a run needs a workflow ID", r.Key, ErrInvalid)
	}
	if err := l.send(ctx, &request{changes: []change{l.change(how, r)}}); err != nil {
		return fmt.Errorf("record %s: %w", r.Key, err)
	}
	return nil
}

func (l *Ledger) change(how intent, r Record) change {
	r = r.normal()
	if r.Outcome != check.Unfinished && r.Recorded.IsZero() {
		r.Recorded = micro(l.options.Now())
	}
	return change{intent: how, record: r}
}

// Ping returns why the database takes no records, and nil when it does. It reads one row and writes nothing, which may
// succeed on a full disk. So it also fails when storing failed in the last minute and has not succeeded since.
func (l *Ledger) Ping(ctx context.Context) error {
	err := queryRows(ctx, l.reader(), `SELECT id FROM totals`, func(scan scanner) error { return scan(new(int64)) })
	if err := errors.Join(err, l.stats.failing()); err != nil {
		return fmt.Errorf("ping ledger: %w", err)
	}
	return nil
}
