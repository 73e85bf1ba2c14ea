package influx_test

import (
	"bytes"
	"log"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/influx"
)

// at is the outcome of the n-th run, one every second.
func at(n int) check.Conclusion {
	conclusion := reported()
	conclusion.Concluded = conclusion.Concluded.Add(time.Duration(n) * time.Second)
	conclusion.Started = conclusion.Started.Add(time.Duration(n) * time.Second)
	return conclusion
}

// key is the name of the point that says whether the n-th run succeeded.
func key(n int) string {
	return "dns.kube-system|Name=dns|Namespace=kube-system|value@" + at(n).Concluded.Format(time.RFC3339Nano)
}

func TestExport_WritesThePointsOfAnOutcome(t *testing.T) {
	db := newInfluxDB()
	e, _ := exporter(t, serve(t, db, "").URL, influx.Limits{})
	e.Export(dns, reported("no answer"))
	e.Close()
	want := map[string]any{
		"dns.kube-system|Errors=no answer|Name=dns|Namespace=kube-system|value@2026-11-22T12:00:03.25Z":             int64(0),
		"RunDuration.dns.kube-system|Errors=no answer|Name=dns|Namespace=kube-system|value@2026-11-22T12:00:03.25Z": 3.25,
	}
	if diff := cmp.Diff(want, db.stored()); diff != "" {
		t.Errorf("points differ (-want +got):\n%s", diff)
	}
	wantRequests := []request{{
		http.MethodPost, "/write?db=checks", "Basic a2g6czNjcmV0LW9mLWluZmx1eA==", influx.Lines(dns, reported("no answer")),
	}}
	if diff := cmp.Diff(wantRequests, db.received()); diff != "" {
		t.Errorf("requests differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"written": 2, "dropped": 0}, counted(t, e)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
}

func TestExport_UsesTheURLAndCredentials(t *testing.T) {
	basic := "Basic a2g6czNjcmV0LW9mLWluZmx1eA==" // kh and the password
	tests := []struct {
		name, user, path, target, authorization string
		options                                 influx.Options
	}{
		{name: "user and password", options: influx.Options{Username: "kh", Password: password}, authorization: basic},
		{name: "in the URL", user: "kh:" + password + "@", authorization: basic},
		{name: "not the one in the URL", user: "other:wrong@", options: influx.Options{Username: "kh", Password: password}, authorization: basic},
		{name: "token", options: influx.Options{Password: password}, authorization: "Token " + password},
		{name: "nobody"},
		{name: "slash at the end", path: "/"},
		{name: "behind a path", path: "/influx/", target: "/influx/write?db=my+checks%26x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db := newInfluxDB()
			o := tt.options
			o.URL, o.Database = "http://"+tt.user+serve(t, db, "").Listener.Addr().String()+tt.path, "my checks&x"
			e, err := influx.New(o, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			e.Export(dns, timedOut())
			e.Close()
			if tt.target == "" {
				tt.target = "/write?db=my+checks%26x"
			}
			want := []request{{http.MethodPost, tt.target, tt.authorization, influx.Lines(dns, timedOut())}}
			if diff := cmp.Diff(want, db.received()); diff != "" {
				t.Errorf("requests differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNew_RefusesOptionsThatCannotWork(t *testing.T) {
	const such = `it should be such as "http://influxdb:8086"`
	tests := []struct{ name, url, database, want string }{
		{"no URL", "", "checks", `the scheme of the URL is ""; ` + such},
		{"no scheme", "influxdb:8086", "checks", `the scheme of the URL is "influxdb"; ` + such},
		{"no scheme, an address", "10.0.0.1:8086", "checks", "the URL cannot be read; " + such},
		{"another scheme", "udp://influxdb:8089", "checks", `the scheme of the URL is "udp"; ` + such},
		{"no host", "http://", "checks", "the URL names no host; " + such},
		{"a port alone", "http://:8086", "checks", "the URL names no host; " + such},
		{"bad port", "http://kh:" + password + "@influxdb:port", "checks", "the URL cannot be read; " + such},
		{"password with a slash", "http://kh:" + password + "/x@influxdb:8086", "checks", "the URL cannot be read; " + such},
		{"no database", "http://influxdb:8086", "", "no database is named"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := influx.New(influx.Options{URL: tt.url, Password: password, Database: tt.database}, slog.New(slog.DiscardHandler))
			if err == nil {
				e.Close()
				t.Fatal("no error")
			}
			if got := err.Error(); got != "export to InfluxDB: "+tt.want || strings.Contains(got, password) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A retried activity, on this worker or another, must not add points.
func TestExport_ARepeatedOneAddsNoPoints(t *testing.T) {
	db := newInfluxDB()
	url := serve(t, db, "").URL
	for range 2 {
		e, _ := exporter(t, url, influx.Limits{})
		e.Export(dns, reported("no answer"))
		e.Export(dns, reported("no answer"))
		e.Close()
	}
	if got := db.stored(); len(got) != 2 {
		t.Errorf("%d points, want 2: %v", len(got), got)
	}
}

func TestExport_PointsAreWrittenOnceInfluxDBIsUpAgain(t *testing.T) {
	db := newInfluxDB()
	first := serve(t, db, "")
	address := first.Listener.Addr().String()
	first.Close()

	e, log := exporter(t, "http://"+address, influx.Limits{})
	e.Export(dns, at(0))
	eventually(t, "it is logged that InfluxDB is down", func() bool { return log.count("InfluxDB is not available") > 0 })
	second := serve(t, db, address)
	eventually(t, "the point is written", func() bool { return db.stored()[key(0)] != nil })

	second.Close() // restart
	e.Export(dns, at(1))
	e.Export(dns, at(2))
	eventually(t, "it is logged that InfluxDB is down again", func() bool {
		return log.count("InfluxDB is available again") == 1 && strings.HasSuffix(strings.TrimSpace(log.String()), "connection refused\"")
	})
	serve(t, db, address)
	e.Close()
	if got := db.stored(); len(got) != 6 || got[key(1)] == nil || got[key(2)] == nil {
		t.Errorf("points are %v, want those of 3 runs", got)
	}
	if diff := cmp.Diff(map[string]float64{"written": 6, "dropped": 0}, counted(t, e)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
	if log.count("InfluxDB is available again") != 2 {
		t.Errorf("log:\n%s", log)
	}
}

// A failure that may end must not drop points.
func TestExport_TriesAgainAfterAFailureThatMayEnd(t *testing.T) {
	for status, text := range map[int]string{
		http.StatusUnauthorized:        "authorization failed",
		http.StatusForbidden:           "not allowed",
		http.StatusNotFound:            "database not found",
		http.StatusTooManyRequests:     "slow down",
		http.StatusInternalServerError: "timeout",
		http.StatusServiceUnavailable:  "engine is starting",
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			db, refusals := newInfluxDB(), 3
			db.answer = func(string) (int, string) {
				if refusals--; refusals >= 0 {
					return status, text
				}
				return 0, ""
			}
			e, log := exporter(t, serve(t, db, "").URL, influx.Limits{})
			e.Export(dns, at(0))
			eventually(t, "the point is written", func() bool { return db.stored()[key(0)] != nil })
			e.Close()
			if len(db.received()) != 4 || log.count("InfluxDB is not available;") != 1 || log.count("status="+strconv.Itoa(status)) == 0 {
				t.Errorf("%d requests, want 4; one warning that names %d, in:\n%s", len(db.received()), status, log)
			}
		})
	}
}

// A refused point must not take the others of its batch with it, and must not be sent for ever.
func TestExport_DropsOnlyTheRefusedPoint(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			db := newInfluxDB()
			started, proceed := make(chan struct{}), make(chan struct{})
			var once sync.Once
			db.answer = func(body string) (int, string) {
				once.Do(func() { close(started); <-proceed })
				if strings.Contains(body, "poison") {
					return status, "field type conflict"
				}
				return 0, ""
			}
			e, log := exporter(t, serve(t, db, "").URL, influx.Limits{})
			e.Export(dns, at(0))
			<-started // what follows waits, and is then one batch
			for n := 1; n <= 9; n++ {
				conclusion := at(n)
				if n == 4 {
					conclusion.Outcome, conclusion.Errors = check.Failed, []string{"poison"}
				}
				e.Export(dns, conclusion)
			}
			close(proceed)
			e.Close()
			if got := db.stored(); len(got) != 18 || got[key(4)] != nil {
				t.Errorf("%d points, want those of 9 runs: %v", len(got), got)
			}
			if diff := cmp.Diff(map[string]float64{"written": 18, "dropped": 2}, counted(t, e)); diff != "" {
				t.Errorf("counts differ (-want +got):\n%s", diff)
			}
			if log.count("InfluxDB refused points") != 1 || log.count("InfluxDB is not available") != 0 {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// An InfluxDB that hangs must not make a run wait or fill the memory: the oldest points are dropped.
func TestExport_DoesNotWaitForAnInfluxDBThatHangs(t *testing.T) {
	db := newInfluxDB()
	hang, started := make(chan struct{}), make(chan struct{}, 1)
	db.answer = func(string) (int, string) {
		select {
		case started <- struct{}{}:
		default:
		}
		<-hang
		return 0, ""
	}
	size := len(influx.Lines(dns, at(0)))
	e, _ := exporter(t, serve(t, db, "").URL, influx.Limits{Buffer: 10 * size, Batch: 3 * size})
	e.Export(dns, at(0))
	<-started // from here on, the first is on its way and 10 more find room
	var runs sync.WaitGroup
	for n := 1; n <= 90; n++ {
		runs.Go(func() { e.Export(dns, at(n)) })
	}
	runs.Wait() // would never end if one waited
	for n := 91; n <= 100; n++ {
		e.Export(dns, at(n))
	}
	if diff := cmp.Diff(map[string]float64{"written": 0, "dropped": 180}, counted(t, e)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
	close(hang)
	e.Close()
	got := db.stored()
	for _, n := range []int{0, 91, 100} {
		if got[key(n)] == nil {
			t.Errorf("run %d is missing", n)
		}
	}
	if len(got) != 22 || len(db.received()) != 5 {
		t.Errorf("%d points by %d requests, want 22 by 5: 1 run, then 10 in batches of 3", len(got), len(db.received()))
	}
}

func TestExport_TriesAgainAfterTheTimeoutOfARequest(t *testing.T) {
	db, hang := newInfluxDB(), make(chan struct{})
	var requests atomic.Int32
	db.answer = func(string) (int, string) {
		if requests.Add(1) == 1 {
			<-hang
		}
		return 0, ""
	}
	server := serve(t, db, "")
	defer close(hang)
	e, log := exporter(t, server.URL, influx.Limits{Request: 50 * time.Millisecond})
	e.Export(dns, at(0))
	eventually(t, "the point is written at the second try", func() bool { return db.stored()[key(0)] != nil })
	if log.count("deadline exceeded") == 0 {
		t.Errorf("log:\n%s", log)
	}
}

func TestCloseGivesUp(t *testing.T) {
	db := newInfluxDB()
	db.answer = func(string) (int, string) { return http.StatusServiceUnavailable, "down" }
	e, log := exporter(t, serve(t, db, "").URL, influx.Limits{Flush: 50 * time.Millisecond, Batch: 1})
	for n := range 3 {
		e.Export(dns, at(n))
	}
	e.Close() // ends
	e.Close() // again, which does nothing
	e.Export(dns, at(3))
	if diff := cmp.Diff(map[string]float64{"written": 0, "dropped": 8}, counted(t, e)); diff != "" {
		t.Errorf("counts differ (-want +got):\n%s", diff)
	}
	if log.count("InfluxDB was not available before the stop") != 1 || log.count("runs=3") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

func TestClose_CancelsARequestThatHangs(t *testing.T) {
	db, hang := newInfluxDB(), make(chan struct{})
	db.answer = func(string) (int, string) { <-hang; return 0, "" }
	server := serve(t, db, "")
	defer close(hang)
	e, _ := exporter(t, server.URL, influx.Limits{Flush: 20 * time.Millisecond})
	e.Export(dns, at(0))
	began := time.Now()
	e.Close()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestClose_ReturnsWithoutAnExport(t *testing.T) {
	e, err := influx.New(influx.Options{URL: "http://influxdb.invalid:8086", Database: "checks"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
}

// The client library writes to the standard log, so the password must be absent there too.
func TestExporter_NeverLogsThePassword(t *testing.T) {
	var standard bytes.Buffer
	before := log.Writer()
	log.SetOutput(&standard)
	t.Cleanup(func() { log.SetOutput(before) })
	statuses := []int{http.StatusUnauthorized, http.StatusServiceUnavailable, http.StatusBadRequest}
	db := newInfluxDB()
	db.answer = func(string) (int, string) {
		if len(statuses) == 0 {
			return 0, ""
		}
		status := statuses[0]
		statuses = statuses[1:]
		return status, "no"
	}
	server := serve(t, db, "")
	e, logged := exporter(t, "http://kh:"+password+"@"+server.Listener.Addr().String(), influx.Limits{Flush: 50 * time.Millisecond})
	e.Export(dns, at(0))
	eventually(t, "all refusals are logged", func() bool { return logged.count("level=WARN") == 3 })
	server.Close()
	e.Export(dns, at(1))
	e.Close()
	const encoded = "czNjcmV0LW9mLWluZmx1eA"
	for _, text := range []string{logged.String(), standard.String()} {
		if strings.Contains(text, password) || strings.Contains(text, encoded) {
			t.Errorf("the password is in:\n%s", text)
		}
	}
	if logged.count("connect") == 0 || standard.Len() > 0 {
		t.Errorf("log:\n%s\nstandard log:\n%s", logged, &standard)
	}
}
