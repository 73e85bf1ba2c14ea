package ledger_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

// writeUntilKilled is a process that opens and closes records in eight goroutines. It prints one line for each acknowledged
// write: "b" for begun or "f" for finished, then the numbers of the goroutine and the run.
func writeUntilKilled(dsn string) int {
	l, err := ledger.Open(context.Background(), dsn, ledger.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var waiting sync.WaitGroup
	for w := range 8 {
		waiting.Go(func() {
			for i := 0; ; i++ {
				a := crashRecord(os.Getenv("LEDGER_TEST_ROUND"), w, i)
				if err := l.Begin(context.Background(), opened(a)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Printf("b %d %d\n", w, i)
				if err := l.Finish(context.Background(), a); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Printf("f %d %d\n", w, i)
			}
		})
	}
	waiting.Wait()
	return 1
}

func crashRecord(round string, w, i int) ledger.Record {
	return record(fmt.Sprintf("round%s-%d", round, w), time.Duration(i)*time.Second, check.Succeeded)
}

// writerChild runs writeUntilKilled in a process until end is called. end kills the process if it still lives, and returns
// what it acknowledged.
func writerChild(t *testing.T, dsn string, round int) (said <-chan struct{}, end func() map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LEDGER_TEST_WRITER="+dsn, fmt.Sprint("LEDGER_TEST_ROUND=", round))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	first, done := make(chan struct{}), make(chan struct{})
	acknowledged := map[string]bool{}
	go func() {
		defer close(done)
		for reader := bufio.NewReader(out); ; {
			line, err := reader.ReadString('\n')
			if err != nil { // half a line is no acknowledgement
				return
			}
			if acknowledged[strings.TrimSpace(line)] = true; len(acknowledged) == 1 {
				close(first)
			}
		}
	}()
	return first, func() map[string]bool {
		_ = cmd.Process.Signal(syscall.SIGKILL) // or it has ended already
		<-done
		_ = cmd.Wait()
		return acknowledged
	}
}

func wantAcknowledged(t *testing.T, l *ledger.Ledger, round int, acknowledged map[string]bool) {
	t.Helper()
	outcomes := map[string]check.Outcome{}
	for w := range 8 {
		a := crashRecord(fmt.Sprint(round), w, 0)
		for i, found := range ticks(t, l, a.Name) {
			outcomes[fmt.Sprintf("%d %d", w, i)] = found.Outcome
		}
	}
	for line := range acknowledged {
		outcome, stored := outcomes[line[2:]]
		if !stored || (line[0] == 'f' && outcome != check.Succeeded) {
			t.Errorf("round %d: %q was acknowledged, but is stored=%t with outcome %q", round, line, stored, outcome)
		}
	}
	verify(t, l)
}

// kill -9 during writes: what was acknowledged is stored, and the ledger does not contradict itself.
func TestKilledInMidWrite(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		for round := range 6 {
			said, end := writerChild(t, dsn, round)
			<-said
			<-time.After(rand.N(150 * time.Millisecond)) // a random moment, not a wait for anything
			acknowledged := end()
			l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
			must(t, err)
			wantAcknowledged(t, l, round, acknowledged)
			must(t, l.Close())
		}
	})
}

// The server crashes and the writer lives. Writes fail with errors, and what was acknowledged survives the recovery.
func TestPostgresCrashesInMidWrite(t *testing.T) {
	p, err := startPostgres()
	dsn := postgresDSN(t)
	must(t, err)
	said, end := writerChild(t, dsn, 0)
	<-said
	l := open(t, dsn)
	must(t, l.Ping(t.Context()))
	<-time.After(rand.N(150 * time.Millisecond)) // a random moment, not a wait for anything
	must(t, p.Crash())
	refused := l.Finish(t.Context(), record("dns", 0, check.Succeeded))
	if err := l.Ping(t.Context()); err == nil || refused == nil || l.Stats().LastError == nil {
		t.Errorf("the server is down: finish %v, ping %v, stats %+v", refused, err, l.Stats())
	}
	must(t, p.Start())
	wantAcknowledged(t, l, 0, end())
	must(t, l.Finish(t.Context(), record("dns", 0, check.Succeeded)))
	must(t, l.Ping(t.Context()))
	if s := l.Stats(); s.LastError != nil {
		t.Errorf("last error is %v after a commit, want none", s.LastError)
	}
}
