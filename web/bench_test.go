package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/ledger/ledgertest"
)

// large is a cluster of n checks in ten namespaces, with a number of runs each in the ledger. A tenth is failing.
func large(t testing.TB, n, runs int) (*cluster, *ledger.Ledger) {
	t.Helper()
	c, l := &cluster{}, openLedger(t)
	for i := range n {
		outcome := check.Succeeded
		if i%10 == 0 {
			outcome = check.Failed
		}
		c.add(fmt.Sprintf("team-%d", i%10), named(i), check.Succeeded, outcome).ResourceVersion = fmt.Sprint(i + 1)
		c.states[i].ResourceVersion = fmt.Sprint(n + i + 1)
	}
	for run := range runs {
		records := make([]ledger.Record, n)
		for i := range n {
			outcome := check.Succeeded
			if (i+run)%25 == 0 {
				outcome = check.Failed
			}
			records[i] = record(fmt.Sprintf("team-%d", i%10), named(i), noon.Add(-time.Duration(run+1)*time.Minute), outcome)
			records[i].Reported = records[i].Started.Add(time.Duration(500+i*37%977+run*13%211) * time.Millisecond)
		}
		ledgertest.Fill(t, l, records)
	}
	return c, l
}

// BenchmarkPages measures pages of 1,000 checks with 60 runs each: the time, and the compressed size.
func BenchmarkPages(b *testing.B) {
	c, l := large(b, 1000, 60)
	for _, path := range []string{"/", "/?page=10", "/?state=failing"} {
		for _, first := range []bool{true, false} {
			name, handler := path+" again", serving(b, c, l)
			if first {
				name = path + " first"
			}
			b.Run(name, func(b *testing.B) {
				var took []time.Duration
				size := 0
				for b.Loop() {
					if first { // nothing is remembered
						b.StopTimer()
						handler = serving(b, c, l)
						b.StartTimer()
					}
					request := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
					request.Header.Set("Accept-Encoding", "gzip")
					recorder, began := httptest.NewRecorder(), time.Now()
					handler.ServeHTTP(recorder, request)
					took, size = append(took, time.Since(began)), recorder.Body.Len()
					if recorder.Code != http.StatusOK {
						b.Fatal(recorder.Code)
					}
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				b.ReportMetric(float64(size), "bytes-sent")
			})
		}
	}
}

// maxSent is the largest page as it is sent, in bytes.
const maxSent = 150_000

// Each check of the first page has 40 runs in its picture, and a long error.
func TestLargestPageIsSmall(t *testing.T) {
	c, l := large(t, 60, 60)
	for i := range c.states {
		c.states[i] = stateOf(khv1.KHCheck, "team-"+fmt.Sprint(i%10), named(i), check.Failed)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request.Header.Set("Accept-Encoding", "gzip")
	recorder := httptest.NewRecorder()
	serving(t, c, l).ServeHTTP(recorder, request)
	if recorder.Header().Get("Content-Encoding") != "gzip" || recorder.Body.Len() > maxSent {
		t.Errorf("the page has %d bytes, want at most %d, compressed", recorder.Body.Len(), maxSent)
	}
}
