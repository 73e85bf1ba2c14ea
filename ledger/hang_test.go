package ledger_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
)

// hang is one way in which a database stops answering, without an error. Freeze returns when the database does not answer
// any more.
type hang struct {
	dsn          string
	freeze, thaw func()
}

// eachHang runs a test for each way in which a database hangs.
func eachHang(t *testing.T, test func(t *testing.T, h hang)) {
	t.Helper()
	for name, prepare := range map[string]func(*testing.T) hang{
		"a PostgreSQL server that is stopped":        stoppedServer,
		"a network that delivers nothing for a time": func(t *testing.T) hang { return frozenNetwork(t, false) },
		"a network that loses its connections":       func(t *testing.T) hang { return frozenNetwork(t, true) },
		"a SQLite file that is locked":               lockedFile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := prepare(t)
			h.freeze, h.thaw = sync.OnceFunc(h.freeze), sync.OnceFunc(h.thaw)
			t.Cleanup(h.thaw) // runs before the ledger is closed
			test(t, h)
		})
	}
}

func stoppedServer(t *testing.T) hang {
	p, err := ledgertest.NewPostgres()
	p = ledgertest.Need(t, p, err)
	t.Cleanup(func() { must(t, p.Close()) })
	dsn, err := p.Database()
	must(t, err)
	return hang{dsn: dsn, freeze: func() { must(t, p.Pause()) }, thaw: func() { must(t, p.Continue()) }}
}

// frozenNetwork puts a proxy before the server. The proxy stops forwarding, but leaves each connection open. Afterwards the
// old connections work again, or are lost: nothing ever comes through them.
func frozenNetwork(t *testing.T, lost bool) hang {
	address, err := url.Parse(postgresDSN(t))
	must(t, err)
	p, err := startPostgres()
	must(t, err)
	network := newNetwork(t, p.Socket())
	query := address.Query()
	host, port, err := net.SplitHostPort(network.listener.Addr().String())
	must(t, err)
	query.Set("host", host)
	query.Set("port", port)
	query.Set("sslmode", "disable")
	address.RawQuery = query.Encode()
	return hang{dsn: address.String(), freeze: network.freeze, thaw: func() { network.thaw(lost) }}
}

// network forwards TCP connections to a Unix socket.
type network struct {
	listener net.Listener
	target   string

	sync.Mutex
	open  chan struct{} // closed while packets are delivered
	lost  chan struct{} // closed when the connections of this period are lost
	conns []net.Conn
}

func newNetwork(t *testing.T, target string) *network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	n := &network{listener: listener, target: target, open: make(chan struct{}), lost: make(chan struct{})}
	close(n.open)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { n.forward(conn, &serving) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		n.Lock()
		for _, conn := range n.conns {
			_ = conn.Close()
		}
		n.Unlock()
		n.thaw(true)
		serving.Wait()
	})
	return n
}

// state returns a channel that is closed when packets are delivered, and one that is closed when they never will be.
func (n *network) state() (open, lost chan struct{}) {
	n.Lock()
	defer n.Unlock()
	return n.open, n.lost
}

func (n *network) freeze() {
	n.Lock()
	defer n.Unlock()
	n.open = make(chan struct{})
}

func (n *network) thaw(lose bool) {
	n.Lock()
	defer n.Unlock()
	if lose {
		close(n.lost)
		n.lost = make(chan struct{})
	}
	select {
	case <-n.open:
	default:
		close(n.open)
	}
}

func (n *network) forward(client net.Conn, serving *sync.WaitGroup) {
	open, lost := n.state()
	select {
	case <-lost:
		return
	case <-open:
	}
	_, lost = n.state()
	server, err := net.Dial("unix", n.target)
	if err != nil {
		_ = client.Close()
		return
	}
	n.Lock()
	n.conns = append(n.conns, client, server)
	n.Unlock()
	serving.Go(func() { n.copy(server, client, lost) })
	n.copy(client, server, lost)
}

// copy forwards in one direction. A connection that is lost is not closed, so its ends do not notice.
func (n *network) copy(to, from net.Conn, lost chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		count, err := from.Read(buffer)
		open, _ := n.state()
		select {
		case <-lost:
			return
		case <-open:
		}
		select {
		case <-lost: // both, when the network comes back without its connections
			return
		default:
		}
		if err == nil {
			_, err = to.Write(buffer[:count])
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// lockUntilTold is a process that locks a SQLite file until its standard input ends.
func lockUntilTold(path string) int {
	ctx := context.Background()
	db, err := sql.Open("sqlite", path)
	if err == nil {
		var conn *sql.Conn
		if conn, err = db.Conn(ctx); err == nil {
			_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func lockedFile(t *testing.T) hang {
	path := t.TempDir() + "/ledger.db"
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), "LEDGER_TEST_LOCK="+path), os.Stderr
	input, err := cmd.StdinPipe()
	must(t, err)
	output, err := cmd.StdoutPipe()
	must(t, err)
	freeze := func() {
		must(t, cmd.Start())
		if line, err := bufio.NewReader(output).ReadString('\n'); err != nil || line != "locked\n" {
			t.Fatalf("the other process said %q, %v", line, err)
		}
	}
	thaw := func() {
		if cmd.Process != nil {
			must(t, input.Close())
			must(t, cmd.Wait())
		}
	}
	return hang{dsn: path, freeze: freeze, thaw: thaw}
}

// openToHang opens a ledger with short bounds, and stores a first record.
func openToHang(t *testing.T, h hang) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), h.dsn, ledger.Options{StallAfter: time.Second, WriteTimeout: 3 * time.Second})
	must(t, err)
	t.Cleanup(func() {
		h.thaw()
		must(t, l.Close())
	})
	must(t, l.Finish(t.Context(), record("first", 0, check.Succeeded)))
	return l
}

// refuses is true when the ledger refuses a record without waiting for the database.
func refuses(t *testing.T, l *ledger.Ledger, n int) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	return errors.Is(l.Finish(ctx, record("dns", time.Duration(n)*time.Minute, check.Succeeded)), ledger.ErrUnavailable)
}

// A database that hangs delays callers no longer than their context allows. Soon it delays no caller: each further call is
// refused at once, whatever it is, and costs no goroutine.
func TestHungDatabaseRefusesAtOnce(t *testing.T) {
	eachHang(t, func(t *testing.T, h hang) {
		l := openToHang(t, h)
		h.freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		asked := time.Now()
		if err := l.Begin(ctx, opened(record("dns", -time.Minute, check.Succeeded))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first call ended with %v, want the end of its context", err)
		}
		if took := time.Since(asked); took > 2*time.Second {
			t.Errorf("the first call took %s, want about the 200 ms of its context", took)
		}
		eventually(t, "the ledger refuses", 10*time.Second, func() bool { return refuses(t, l, 0) })
		goroutines := runtime.NumGoroutine()
		refused := 0
		for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // past the timeout, and some probes
			asked := time.Now()
			for name, call := range allCalls(t.Context(), l) {
				if err := call(); !errors.Is(err, ledger.ErrUnavailable) {
					t.Fatalf("%s, after %d calls that were refused: %v, want ErrUnavailable", name, refused, err)
				}
				refused++
			}
			if took := time.Since(asked); took > time.Second {
				t.Fatalf("13 calls took %s, want them refused at once", took)
			}
		}
		t.Logf("%d calls were refused", refused)
		if more := runtime.NumGoroutine() - goroutines; more > 100 { // of four tests at once
			t.Errorf("%d goroutines more than before", more)
		}
		if s := l.Stats(); s.Queued > 0 {
			t.Errorf("%d requests are queued, want none", s.Queued)
		}
	})
}

// Soon after a hang has ended, the ledger stores records again. Records that were refused or delayed are stored when they
// are sent again, each once.
func TestWritingResumesAfterAHang(t *testing.T) {
	for _, lasts := range []time.Duration{1500 * time.Millisecond, 8 * time.Second} { // less than a timeout, and more
		t.Run(lasts.String(), func(t *testing.T) {
			t.Parallel()
			eachHang(t, func(t *testing.T, h hang) {
				l := openToHang(t, h)
				h.freeze()
				const callers = 50
				var waiting sync.WaitGroup
				for i := range callers {
					waiting.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						_ = l.Finish(ctx, record("dns", time.Duration(i)*time.Minute, check.Succeeded)) // it fails, or is stored when the hang ends
					})
				}
				<-time.After(lasts) // the length of the hang, not a wait for anything
				waiting.Wait()
				h.thaw()
				thawed := time.Now()
				eventually(t, "a record is stored", 15*time.Second, func() bool {
					return l.Finish(t.Context(), record("dns", 0, check.Succeeded)) == nil
				})
				t.Logf("a record was stored %s after the hang", time.Since(thawed).Round(time.Millisecond))
				for i := range callers {
					must(t, l.Finish(t.Context(), record("dns", time.Duration(i)*time.Minute, check.Succeeded)))
				}
				must(t, l.Ping(t.Context()))
				if f := verify(t, l); f.Records != callers+1 {
					t.Errorf("%d records, want %d", f.Records, callers+1)
				}
			})
		})
	}
}

// A slow database is not a hung one: nobody is refused, although each commit takes a second.
func TestSlowDatabaseIsNotRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		l := open(t, dsn)
		ledger.Slow(l, time.Second)
		var waiting sync.WaitGroup
		for i := range 100 {
			waiting.Go(func() {
				r := record("dns", time.Duration(i)*time.Minute, check.Succeeded)
				if err := errors.Join(l.Begin(t.Context(), opened(r)), l.Finish(t.Context(), r)); err != nil {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		if f := verify(t, l); f.Records != 100 || f.Open != 0 {
			t.Errorf("%d records, %d open, want 100 and none", f.Records, f.Open)
		}
	})
}

// Readers with slow queries that use all of their connections do not delay a writer.
func TestReadersHoldNoWriter(t *testing.T) {
	dsn := postgresDSN(t)
	l, err := ledger.Open(t.Context(), dsn, ledger.Options{MaxConns: 2})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	ctx, cancel := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range 4 {
		reading.Go(func() { _, _ = ledger.Query(ctx, l, `SELECT pg_sleep(60)::text`) }) // ends with ctx
	}
	eventually(t, "the readers read", 10*time.Second, func() bool {
		found, err := ledger.QueryWriter(t.Context(), l, `SELECT count(*)::text FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'`)
		return err == nil && strings.Join(found, "") == "2"
	})
	must(t, l.Finish(t.Context(), record("dns", 0, check.Succeeded)))
	cancel()
	reading.Wait()
}
