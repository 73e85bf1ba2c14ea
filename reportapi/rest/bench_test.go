//go:build unix

package rest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/reportapi/rest"
	"github.com/khronicle/khronicle/view"
)

// size is the number of checks, each with runs in the ledger.
const (
	size = 3000
	runs = 60
)

// large is a cluster of many checks, of which a tenth is failing, and their ledger.
func large(b *testing.B) (*cluster, *ledger.Ledger) {
	b.Helper()
	c, l := &cluster{}, openLedger(b)
	for i := range size {
		name := fmt.Sprintf("check-%04d", i)
		outcome := check.Succeeded
		if i%10 == 0 {
			outcome = check.Failed
		}
		c.checks = append(c.checks, newCheck(name))
		c.states = append(c.states, stateOf(khv1.KHCheck, name, check.Succeeded, outcome))
	}
	queue := make(chan ledger.Record)
	var group sync.WaitGroup
	for range 256 { // at once, so that the ledger writes large batches
		group.Go(func() {
			for r := range queue {
				if err := l.Finish(context.Background(), r); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for run := range runs {
		for i := range size {
			queue <- record(fmt.Sprintf("check-%04d", i), noon.Add(-time.Duration(run+1)*time.Minute), check.Succeeded)
		}
	}
	close(queue)
	group.Wait()
	return c, l
}

// cpuTime is the processor time of this process, client and server. On a busy machine it says more than the elapsed time.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkAPI measures requests over HTTP to an API with 3,000 checks and a ledger of 60 runs each. As in production, a
// snapshot is used for 250 ms.
func BenchmarkAPI(b *testing.B) {
	c, l := large(b)
	began := time.Now()
	shown := view.New(view.Options{
		Cluster: c, Ledger: l, FreshFor: 250 * time.Millisecond, Now: func() time.Time { return noon.Add(time.Since(began)) },
	})
	must(b, shown.Refresh(b.Context()))
	server := httptest.NewServer(serving(b, c, l, func(o *rest.Options) { o.View = shown }))
	defer server.Close()
	for name, path := range map[string]string{
		"a-page-of-500": "/api/v1/checks?limit=500", "failing": "/api/v1/checks?state=failing&text=check-1", "one": "/api/v1/checks/shop/check-0042",
		"runs": "/api/v1/checks/shop/check-0042/runs", "summary": "/api/v1/summary", "page": "/api/v1/checks",
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			before := cpuTime(b)
			for b.Loop() {
				began := time.Now()
				response, err := server.Client().Get(server.URL + path) //nolint:noctx // it ends with the benchmark
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					b.Fatal(response.Status)
				}
				took = append(took, time.Since(began))
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
