package browser_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/test/browser"
)

// load is how the browser loaded a page once. Times are in milliseconds since it began, and sizes in bytes.
type load struct {
	Paint, Answer, Loaded          float64
	Sent, Size, Assets, Rows, Bars int
}

// maxSent is the largest overview as it is sent, in bytes.
const maxSent = 150_000

// BenchmarkFirstPaint measures when a browser paints the overview of 1,000 checks with 60 runs each. The first reader is alone:
// for those after it, the server remembers the pictures of runs.
func BenchmarkFirstPaint(b *testing.B) {
	browser.Need(b)
	c := &cluster{now: time.Now()}
	for i := range 1000 {
		c.add(fmt.Sprintf("team-%d", i%10), fmt.Sprintf("check-%04d", i), 60, func(run int) check.Outcome {
			if (i+run)%25 == 0 {
				return check.Failed
			}
			return check.Succeeded
		})
	}
	base := c.serve(b)
	var loads []load
	for b.Loop() {
		browser.Measure(b, "paint.mjs", map[string]any{"base": base, "loads": 20}, &loads)
	}
	first, later := loads[0], loads[1:]
	if first.Sent > maxSent || first.Rows != 50 || first.Bars != 50*40 {
		b.Errorf("the first page has %d bytes, %d checks and %d bars, want at most %d, 50 and 2000", first.Sent, first.Rows, first.Bars, maxSent)
	}
	slices.SortFunc(later, func(x, y load) int { return int(x.Paint - y.Paint) })
	b.ReportMetric(first.Paint, "first-paint-ms")
	b.ReportMetric(first.Answer, "first-answer-ms")
	b.ReportMetric(later[len(later)/2].Paint, "median-paint-ms")
	b.ReportMetric(later[len(later)-1].Paint, "worst-paint-ms")
	b.ReportMetric(float64(first.Sent), "bytes-sent")
	b.ReportMetric(float64(first.Size), "bytes-page")
	b.ReportMetric(float64(first.Assets), "bytes-assets")
	b.ReportMetric(0, "ns/op")
}
