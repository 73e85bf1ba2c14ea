package reportapi

import (
	"context"
	"net"
	"net/http"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
)

// Routes lets a test serve on its own listener.
func (s *Server) Routes() http.Handler { return s.routes() }

// ServeOn serves on a listener of the test's.
func (s *Server) ServeOn(ctx context.Context, l net.Listener) error {
	if err := s.Close(); err != nil {
		return err
	}
	s.listener = l
	return s.Serve(ctx)
}

// Close frees the address of a server that never serves.
func (s *Server) Close() error { return s.listener.Close() }

// SendLate sends the late reports of Offer, until end is called.
func (s *Server) SendLate(ctx context.Context) (end func()) { return s.late.sendAll(ctx) }

// Offer queues a late report.
func (s *Server) Offer(runUUID string, report status.Report) {
	s.late.offer(lateReport{runUUID, Shortened(report), time.Now()})
}

// LateCount is how many late reports had this result.
func (s *Server) LateCount(result string) float64 {
	var metric dto.Metric
	_ = s.late.results.WithLabelValues(result).Write(&metric) // a counter can be read
	return metric.GetCounter().GetValue()
}

// Shortened is the part of a late report that may be stored.
func Shortened(report status.Report) check.ReceivedReport { return shortened(report, maxLateContent) }

// Limits, for tests that exceed them.
const (
	SourceBurst   = sourceBurst
	MaxQuestions  = maxQuestions
	MaxRunReports = maxRunReports
	MaxRunBytes   = maxRunBytes
	MaxWaiting    = maxWaiting
	MaxHeld       = maxHeld
	MaxHeldBytes  = maxHeldBytes
)

// The largest sizes of a report, for tests that reach them.
const MaxReport = maxReport
