package influx

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	influxhttp "github.com/influxdata/influxdb-client-go/v2/api/http"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/check"
)

// bounds are the limits of an exporter.
type bounds struct {
	// buffer is how many bytes wait at most, and batch how many are sent at once. A point has about 200.
	buffer, batch int
	// request is how long InfluxDB may take to answer.
	request time.Duration
	// firstPause comes after a failure and doubles with each further one, up to longestPause.
	firstPause, longestPause time.Duration
	// flush is how long Close tries to send what is left.
	flush time.Duration
}

var defaults = bounds{
	buffer: 16 << 20, batch: 1 << 20,
	request: 10 * time.Second, firstPause: time.Second, longestPause: 30 * time.Second, flush: 5 * time.Second,
}

// Exporter sends points to InfluxDB, and is a prometheus.Collector that counts them. See New.
type Exporter struct {
	bounds
	service influxhttp.Service
	client  *http.Client
	url     string
	logger  *slog.Logger
	points  *prometheus.CounterVec
	buffer  *buffer

	ctx     context.Context // ends when Close gives up
	giveUp  context.CancelFunc
	close   sync.Once
	closing chan struct{}
	done    chan struct{}

	// Of the writing goroutine: why InfluxDB takes no points, and how many runs were not sent before Close gave up.
	lastFailure string
	unsent      int
}

// New returns an exporter that writes in the background until Close. Whether InfluxDB is there shows only when there is
// something to write.
func New(o Options, logger *slog.Logger) (*Exporter, error) { return newExporter(o, logger, defaults) }

func newExporter(o Options, logger *slog.Logger, b bounds) (*Exporter, error) {
	to, err := o.target()
	if err != nil {
		return nil, fmt.Errorf("export to InfluxDB: %w", err)
	}
	client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
	options := influxhttp.DefaultOptions().SetHTTPClient(client).SetApplicationName("khronicle")
	e := &Exporter{
		bounds: b, client: client, url: to.url, logger: logger, buffer: newBuffer(b.buffer), points: newCounter(),
		service: influxhttp.NewService(to.url, to.authorization, options),
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	e.ctx, e.giveUp = context.WithCancel(context.Background())
	go e.run()
	return e, nil
}

// Export takes in the outcome of a run, to be written soon. It returns at once.
func (e *Exporter) Export(ref check.Ref, conclusion check.Conclusion) {
	e.count(dropped, e.buffer.put(lines(ref, conclusion))...)
}

// Close writes what is left, for a bounded time, and ends the exporter. What is exported later is dropped.
func (e *Exporter) Close() {
	e.close.Do(func() {
		e.buffer.close()
		close(e.closing)
		timer := time.AfterFunc(e.flush, e.giveUp)
		<-e.done
		timer.Stop()
		e.giveUp()
		e.client.CloseIdleConnections()
	})
}

func (e *Exporter) run() {
	defer close(e.done)
	for batch := e.buffer.take(e.batch); len(batch) > 0; batch = e.buffer.take(e.batch) {
		e.deliver(batch)
	}
	if e.unsent > 0 {
		e.logger.Warn("InfluxDB took no points before the stop; they are dropped", "runs", e.unsent)
	}
}

// deliver sends the lines of runs until InfluxDB takes or refuses them, or Close gives up.
func (e *Exporter) deliver(batch []string) {
	for pause := e.firstPause; ; pause = min(2*pause, e.longestPause) {
		failure := e.send(batch)
		switch {
		case failure == nil:
			e.count(written, batch...)
			e.note(nil)
			return
		case e.ctx.Err() != nil:
			e.unsent += len(batch)
			e.count(dropped, batch...)
			return
		case refused(failure) && len(batch) > 1: // the rest must not be lost with the one that is wrong
			e.deliver(batch[:len(batch)/2])
			e.deliver(batch[len(batch)/2:])
			return
		case refused(failure):
			e.logger.Warn("InfluxDB refuses points, which are dropped", "status", failure.StatusCode, "error", failure)
			e.count(dropped, batch...)
			return
		}
		e.note(failure)
		asked := time.Duration(failure.RetryAfter) * time.Second
		e.wait(min(max(pause, asked), e.longestPause))
	}
}

func (e *Exporter) send(batch []string) *influxhttp.Error {
	ctx, cancel := context.WithTimeout(e.ctx, e.request)
	defer cancel()
	body := strings.NewReader(strings.Join(batch, ""))
	return e.service.DoPostRequest(ctx, e.url, body, nil, func(r *http.Response) error { return r.Body.Close() })
}

// refused is true when InfluxDB will never take the lines as they are. All else may pass, or be put right: that it is
// down or busy, that the database is missing, that the password is wrong.
func refused(failure *influxhttp.Error) bool {
	switch failure.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// wait pauses, for a moment only while the exporter closes, and not at all when there is no more time.
func (e *Exporter) wait(pause time.Duration) {
	select {
	case <-time.After(pause):
	case <-e.ctx.Done():
	case <-e.closing:
		select {
		case <-time.After(min(pause, e.firstPause)):
		case <-e.ctx.Done():
		}
	}
}

// note logs when InfluxDB stops to take points, for each new reason, and when it takes them again.
func (e *Exporter) note(failure *influxhttp.Error) {
	switch {
	case failure != nil && failure.Error() != e.lastFailure:
		e.lastFailure = failure.Error()
		e.logger.Warn("InfluxDB takes no points; they are kept and sent again", "status", failure.StatusCode, "error", failure)
	case failure == nil && e.lastFailure != "":
		e.lastFailure = ""
		e.logger.Info("InfluxDB takes points again")
	}
}
