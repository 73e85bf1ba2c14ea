//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
)

// What the load of BenchmarkReports is made of. A run takes 100 reports, and package testing measures twice.
const (
	loadConnections = 16
	loadRuns        = 30
	loadPerRun      = 45
	floodFor        = 5 * time.Second
)

// load posts reports over a connection each until next says that there are no more, and returns how many were answered with
// which status.
func load(b *testing.B, next func() (runUUID string, ok bool)) map[int]int64 {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadConnections}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	var counts [600]atomic.Int64
	var clients sync.WaitGroup
	for range loadConnections {
		clients.Go(func() {
			for runUUID, ok := next(); ok; runUUID, ok = next() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, reportBase+"/externalCheckStatus", strings.NewReader(`{"OK":true,"Errors":[]}`))
				if err != nil {
					b.Error(err)
					return
				}
				request.Header.Set("kh-run-uuid", runUUID)
				response, err := client.Do(request)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				counts[response.StatusCode].Add(1)
			}
		})
	}
	clients.Wait()
	all := map[int]int64{}
	for status := range counts {
		if n := counts[status].Load(); n > 0 {
			all[status] = n
		}
	}
	return all
}

// BenchmarkReports measures how many reports a second are accepted for open runs, and how many are refused for unknown
// runs. 16 connections from one address send them. It also measures the processor time of Temporal. b.N is not used.
func BenchmarkReports(b *testing.B) {
	namespace := newNamespace(b)
	runs := make([]string, loadRuns)
	for i := range runs {
		c := demoCheck(namespace, fmt.Sprintf("load-%d", i), env{"REPORT_DELAY": "10m"})
		c.Spec.RunInterval, c.Spec.Timeout = "15m", "10m" // a run that ends meanwhile takes no report
		apply(b, c)
		if (i+1)%10 == 0 {
			time.Sleep(10 * time.Second) // the start burst of 20 fills again with one a second
		}
	}
	for i := range runs {
		runs[i] = awaitPod(b, namespace, fmt.Sprintf("load-%d", i), corev1.PodRunning).Labels["kuberhealthy-run-id"]
	}
	b.Run("accepted", func(b *testing.B) {
		var sent atomic.Int64
		measureLoad(b, http.StatusOK, func() (string, bool) {
			n := sent.Add(1) - 1
			return runs[n%loadRuns], n < loadRuns*loadPerRun
		})
	})
	b.Run("unknown", func(b *testing.B) {
		idle, began := cpuSeconds(b)["temporal"], time.Now()
		time.Sleep(floodFor)
		b.ReportMetric((cpuSeconds(b)["temporal"]-idle)/time.Since(began).Seconds(), "temporal-cpu-before")
		end := time.Now().Add(floodFor)
		measureLoad(b, http.StatusTooManyRequests, func() (string, bool) { return uuid.NewString(), time.Now().Before(end) })
	})
}

// measureLoad reports how many answers of a status there were a second.
func measureLoad(b *testing.B, status int, next func() (string, bool)) {
	b.Helper()
	used, began := cpuSeconds(b)["temporal"], time.Now()
	counts := load(b, next)
	took := time.Since(began).Seconds()
	b.Logf("answers by status: %v in %.1f s", counts, took)
	b.ReportMetric(float64(counts[status])/took, "answers/s")
	b.ReportMetric((cpuSeconds(b)["temporal"]-used)/took, "temporal-cpu")
	b.ReportMetric(0, "ns/op")
}
