package influx_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	protocol "github.com/influxdata/line-protocol"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/khronicle/khronicle/internal/influx"
)

// request is one call to InfluxDB.
type request struct{ Method, Target, Authorization, Body string }

// influxDB does what InfluxDB does when somebody writes to it. It reads the line protocol. A point replaces an earlier one
// of the same name, tags and time.
type influxDB struct {
	// answer, if set, may refuse a request by another status than 0.
	answer func(body string) (status int, text string)

	mu       sync.Mutex
	points   map[string]any
	requests []request
}

func (db *influxDB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client closed the connection
	}
	db.mu.Lock()
	db.requests = append(db.requests, request{r.Method, r.URL.String(), r.Header.Get("Authorization"), string(body)})
	db.mu.Unlock()
	if db.answer != nil {
		if status, text := db.answer(string(body)); status != 0 {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("X-Influxdb-Error", text)
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"error":%q}`, text)
			return
		}
	}
	metrics, err := protocol.NewParser(protocol.NewMetricHandler()).Parse(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"error":%q}`, "unable to parse: "+err.Error())
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, metric := range metrics {
		db.store(metric)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (db *influxDB) store(metric protocol.Metric) {
	series := metric.Name()
	for _, tag := range metric.TagList() {
		series += "|" + tag.Key + "=" + tag.Value
	}
	for _, field := range metric.FieldList() {
		db.points[fmt.Sprintf("%s|%s@%s", series, field.Key, metric.Time().UTC().Format(time.RFC3339Nano))] = field.Value
	}
}

// stored returns the points.
func (db *influxDB) stored() map[string]any {
	db.mu.Lock()
	defer db.mu.Unlock()
	return maps.Clone(db.points)
}

func (db *influxDB) received() []request {
	db.mu.Lock()
	defer db.mu.Unlock()
	return slices.Clone(db.requests)
}

func newInfluxDB() *influxDB { return &influxDB{points: map[string]any{}} }

// serve starts InfluxDB, at that address unless it is empty.
func serve(t *testing.T, db *influxDB, address string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(db)
	if address != "" {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = server.Listener.Close()
		server.Listener = listener
	}
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// logBuffer is a log that may be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) count(message string) int { return strings.Count(b.String(), message) }

// exporter writes to that URL, as user kh with a password, until the test ends.
func exporter(t *testing.T, url string, l influx.Limits) (*influx.Exporter, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	e, err := influx.NewHasty(influx.Options{URL: url, Username: "kh", Password: password, Database: "checks"}, logger, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e, log
}

const password = "s3cret-of-influx"

// counted returns the counters of an exporter by result.
func counted(t *testing.T, e *influx.Exporter) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(e)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "khronicle_influxdb_points_total" {
		t.Fatalf("metrics are %v, error %v", families, err)
	}
	counts := map[string]float64{}
	for _, metric := range families[0].GetMetric() {
		counts[result(metric)] = metric.GetCounter().GetValue()
	}
	return counts
}

func result(metric *dto.Metric) string {
	if labels := metric.GetLabel(); len(labels) == 1 && labels[0].GetName() == "result" {
		return labels[0].GetValue()
	}
	return "?"
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(20 * time.Second); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
