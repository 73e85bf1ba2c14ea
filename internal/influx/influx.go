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
	// buffer is the most bytes that wait, and batch the most bytes of one request. A point has about 200.
	buffer, batch int
	// request is the timeout of a request.
	request time.Duration
	// firstPause is the pause after a failure. It doubles with each further failure, up to longestPause.
	firstPause, longestPause time.Duration
	// flush is how long Close tries to send the points that are left.
	flush time.Duration
}

var defaults = bounds{
	buffer: 16 << 20, batch: 1 << 20,
	request: 10 * time.Second, firstPause: time.Second, longestPause: 30 * time.Second, flush: 5 * time.Second,
}

// Exporter sends points to InfluxDB. It is also the prometheus.Collector of their number. New makes one.
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

	// Only the writing goroutine uses these: the last error of InfluxDB, and the number of runs dropped because Close gave up.
	lastFailure string
	unsent      int
}

// New returns an exporter that writes in the background until Close. It does not connect to InfluxDB before the first export.
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

// Export adds the points of an outcome to the buffer. It returns at once.
func (e *Exporter) Export(ref check.Ref, conclusion check.Conclusion) {
	e.count(dropped, e.buffer.put(lines(ref, conclusion))...)
}

// Close writes the points that are left, for a bounded time, and ends the exporter. Later exports are dropped.
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
		e.logger.Warn("InfluxDB was not available before the stop; points are dropped", "runs", e.unsent)
	}
}

// deliver sends the lines of runs until InfluxDB accepts or refuses them, or Close gives up.
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
		case refused(failure) && len(batch) > 1: // one wrong point must not take the others with it
			e.deliver(batch[:len(batch)/2])
			e.deliver(batch[len(batch)/2:])
			return
		case refused(failure):
			e.logger.Warn("InfluxDB refused points; they are dropped", "status", failure.StatusCode, "error", failure)
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

// refused is true when InfluxDB will never accept these lines. Other failures may end: InfluxDB is down or busy, the database
// is missing, or the password is wrong.
func refused(failure *influxhttp.Error) bool {
	switch failure.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// wait pauses. While the exporter closes, the pause is at most firstPause; it ends when Close gives up.
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

// note logs each new reason why InfluxDB accepts no points, and when it accepts them again.
func (e *Exporter) note(failure *influxhttp.Error) {
	switch {
	case failure != nil && failure.Error() != e.lastFailure:
		e.lastFailure = failure.Error()
		e.logger.Warn("InfluxDB is not available; points are sent again later", "status", failure.StatusCode, "error", failure)
	case failure == nil && e.lastFailure != "":
		e.lastFailure = ""
		e.logger.Info("InfluxDB is available again")
	}
}
