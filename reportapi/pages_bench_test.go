//go:build unix

package reportapi_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
	"github.com/khronicle/khronicle/reportapi"
	"github.com/khronicle/khronicle/test/browse"
	"github.com/khronicle/khronicle/view"
)

// busy is a cluster whose checks run while pages are open. Each run has a record in the ledger.
type busy struct {
	ledger  *ledger.Ledger
	checks  []*khv1.KuberhealthyCheck
	mu      sync.Mutex
	states  []*khv1.KuberhealthyState
	version int
}

func (c *busy) Checks() []*khv1.KuberhealthyCheck  { return c.checks }
func (c *busy) Jobs() []*khv1.KuberhealthyJob      { return nil }
func (c *busy) IsJob(*khv1.KuberhealthyState) bool { return false }
func (c *busy) States() (all []*khv1.KuberhealthyState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.states)
}

// newBusy is a cluster of n checks that have run a number of times each, once a minute until now.
func newBusy(b *testing.B, n, runs int) *busy {
	b.Helper()
	l, err := ledger.Open(context.Background(), "sqlite:"+filepath.Join(b.TempDir(), "ledger.db"), ledger.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	c := &busy{ledger: l, states: make([]*khv1.KuberhealthyState, n)}
	for i := range n {
		name := fmt.Sprintf("check-%04d", i)
		c.checks = append(c.checks, every(name, "1m", func(k *khv1.KuberhealthyCheck) {
			k.ResourceVersion, k.UID = strconv.Itoa(i+1), types.UID("uid-"+name)
			k.CreationTimestamp = metav1.NewTime(time.Now().Add(-24 * time.Hour))
		}))
	}
	now := time.Now()
	for run := range runs {
		records := make([]ledger.Record, n)
		for i := range n {
			records[i] = c.run(i, now.Add(-time.Duration(runs-run)*time.Minute))
		}
		ledgertest.Fill(b, l, records)
	}
	return c
}

// run is the record of a run that ends two seconds after its tick. It is in the state of its check. One in 20 failed.
func (c *busy) run(i int, tick time.Time) ledger.Record {
	of := c.checks[i]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	conclusion := check.Conclusion{Outcome: check.Succeeded, Started: tick, Concluded: tick.Add(2 * time.Second), Node: "node-1", Reported: true}
	if c.version%20 == 0 {
		conclusion.Outcome, conclusion.Errors = check.Failed, []string{"endpoint does not answer: connection refused"}
	}
	before := c.states[i]
	if before == nil {
		before = &khv1.KuberhealthyState{ObjectMeta: metav1.ObjectMeta{Namespace: of.Namespace, Name: of.Name}}
	}
	next := check.NewState(before.DeepCopy(), check.Ref{Kind: khv1.KHCheck, Namespace: of.Namespace, Name: of.Name, UID: of.UID}, uuid.NewString(), "worker-0", conclusion)
	check.AddRecentRun(next, check.NewRecentRun(tick, conclusion))
	next.ResourceVersion = strconv.Itoa(1_000_000 + c.version)
	c.states[i] = next
	return ledger.Record{
		Key:  ledger.Key{CheckUID: string(of.UID), Trigger: check.TriggerSchedule, Tick: tick},
		Kind: khv1.KHCheck, Namespace: of.Namespace, Name: of.Name, Outcome: conclusion.Outcome, Attempts: 1, Node: "node-1",
		Started: tick, Reported: conclusion.Concluded, Concluded: conclusion.Concluded, WorkflowID: uuid.NewString(), Errors: conclusion.Errors,
	}
}

// runOften lets each check run once a minute, one after the other, until ctx ends.
func (c *busy) runOften(ctx context.Context, b *testing.B) {
	ticker := time.NewTicker(time.Minute / time.Duration(len(c.checks)))
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := c.ledger.Finish(context.Background(), c.run(i%len(c.checks), time.Now().Add(-2*time.Second))); err != nil {
			b.Error(err)
		}
	}
}

// openFor is how long pages are open in BenchmarkOpenPages.
const openFor = 15 * time.Second

// BenchmarkOpenPages measures what open pages cost: 1,000 checks run once a minute, and have 60 runs each in the ledger. The
// processor time is that of the process, with the runs and the clients. That of 0 pages is what the runs take.
//
//	go test ./reportapi -run '^$' -bench OpenPages -benchtime 1x
func BenchmarkOpenPages(b *testing.B) {
	c := newBusy(b, 1000, 60)
	for _, n := range []int{0, 1, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			o := options(&fakeTemporal{}, nil)
			o.View = view.New(view.Options{Cluster: c, Ledger: c.ledger, FreshFor: 250 * time.Millisecond})
			server, err := reportapi.New(o)
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			var ended sync.WaitGroup
			ended.Go(func() { o.View.Run(ctx) })
			ended.Go(func() { _ = server.Serve(ctx) })
			ended.Go(func() { c.runOften(ctx, b) })
			pages := browse.Open(ctx, "http://"+server.Addr().String(), n, browse.Pause)
			time.Sleep(2 * browse.Pause) // each page is open, and was loaded after a change
			for b.Loop() {
				_, _ = pages.Figures()
				before := cpuTime(b)
				time.Sleep(openFor)
				used := cpuTime(b) - before
				got, errors := pages.Figures()
				if len(errors) > 0 || n > 0 && (got.Loads == 0 || got.Events == 0) {
					b.Fatalf("%+v, %v", got, errors)
				}
				b.ReportMetric(used.Seconds()*1000/openFor.Seconds(), "cpu-ms/s")
				b.ReportMetric(got.P50, "load-p50-ms")
				b.ReportMetric(got.P99, "load-p99-ms")
				b.ReportMetric(float64(got.LoadBytes)/float64(max(got.Loads, 1)), "bytes/load")
				b.ReportMetric(float64(got.EventBytes)/float64(max(got.Events, 1)), "bytes/event")
				b.ReportMetric(float64(got.LoadBytes+got.EventBytes)/openFor.Seconds()/float64(max(n, 1)), "bytes/s/page")
			}
			b.ReportMetric(0, "ns/op")
			stop()
			pages.Wait()
			ended.Wait()
		})
	}
}
