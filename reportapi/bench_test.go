//go:build unix

package reportapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/reportapi"
)

// large is a cluster of n checks that have run ten times each. A tenth have errors, and a fifth have a cron expression.
func large(n int) fakeCluster {
	var c fakeCluster
	for i := range n {
		name := fmt.Sprintf("check-%04d", i)
		var errors []string
		if i%10 == 0 {
			errors = []string{fmt.Sprintf("endpoint %d does not answer: connection refused", i)}
		}
		s := state("ns", name, khv1.KHCheck, errors...)
		s.ResourceVersion = fmt.Sprint(2*n + i)
		for j := range check.MaxRecentRuns {
			at := noon.Add(time.Duration(j-check.MaxRecentRuns) * time.Minute)
			check.AddRecentRun(s, check.NewRecentRun(at, check.Conclusion{Outcome: check.Succeeded, Started: at.Add(41 * time.Millisecond), Concluded: at.Add(3 * time.Second)}))
		}
		each := every(name, "1m", func(c *khv1.KuberhealthyCheck) { c.ResourceVersion = fmt.Sprint(i + 1) })
		if i%5 == 0 {
			each.Spec.RunInterval, each.Spec.Schedule, each.Spec.TimeZone = "", "*/5 * * * *", "Europe/Berlin"
		}
		c.fakeStates, c.checks = append(c.fakeStates, s), append(c.checks, each)
	}
	return c
}

// benchmarkGet measures one request to a server with 3,000 checks. It does so while no check changes, and while all change.
func benchmarkGet(b *testing.B, path string) {
	for name, changed := range map[string]bool{"same": false, "a-tenth-changed": true} {
		b.Run(name, func(b *testing.B) {
			o, states := options(&fakeTemporal{}, nil), large(3000)
			o.View = showing(states, noon.Add(30*time.Second))
			server, err := reportapi.New(o)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = server.Close() })
			routes, size := server.Routes(), 0
			serve := func() {
				recorder := httptest.NewRecorder()
				routes.ServeHTTP(recorder, httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil))
				if recorder.Code != http.StatusOK {
					b.Fatal(recorder.Code)
				}
				n, _ := io.Copy(io.Discard, recorder.Body)
				size = int(n)
			}
			serve()
			version, before := 1_000_000, cpuTime(b)
			for b.Loop() {
				if changed {
					for i := 0; i < len(states.fakeStates); i += 10 {
						version++
						states.fakeStates[i].ResourceVersion = fmt.Sprint(version)
					}
				}
				serve()
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// cpuTime is the processor time of this process. On a busy machine it says more than the elapsed time.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkScrape(b *testing.B) { benchmarkGet(b, "/metrics") }

func BenchmarkPage(b *testing.B) { benchmarkGet(b, "/") }

// BenchmarkRefused measures a report of an unknown run beyond the limit, over 16 connections from one loopback address.
func BenchmarkRefused(b *testing.B) {
	temporal := &fakeTemporal{answer: gone}
	server, err := reportapi.New(options(temporal, nil))
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx) }()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	before := cpuTime(b)
	b.SetParallelism(max(16/runtime.GOMAXPROCS(0), 1))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+server.Addr().String()+"/externalCheckStatus", strings.NewReader(`{"OK":true,"Errors":[]}`))
			if err != nil {
				b.Error(err)
				return
			}
			request.Header.Set("kh-run-uuid", uuid.NewString())
			response, err := client.Do(request)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	})
	b.ReportMetric((cpuTime(b)-before).Seconds()*1e6/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64(temporal.questions())/b.Elapsed().Seconds(), "questions/s")
	client.CloseIdleConnections()
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
