package deadman_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/khronicle/khronicle/internal/deadman"
)

const secret = "5c0d6f7e-ping-key"

// service receives heartbeats. It answers with these codes in turn, and with the last one from then on.
func service(t *testing.T, codes ...int) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(asked.Add(1))
		if r.Method != http.MethodGet || r.URL.Path != "/"+secret || r.URL.Query().Get("status") != "up" {
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
		w.Header().Set("Location", "/elsewhere/"+secret) // of use with 301 alone
		w.WriteHeader(codes[min(n, len(codes))-1])
	}))
	t.Cleanup(server.Close)
	return server.URL + "/" + secret + "?status=up", asked
}

func metricsOf(t *testing.T, h *deadman.Switch) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(h)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			name := family.GetName()
			for _, label := range metric.GetLabel() {
				name += " " + label.GetValue()
			}
			values[name] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return values
}

func TestHeartbeatIsSentAndCounted(t *testing.T) {
	tests := []struct {
		name      string
		codes     []int
		asked     int32
		succeeded float64
		log       string
	}{
		{"taken", []int{200}, 1, 1, ""},
		{"no content is a success", []int{204}, 1, 1, ""},
		{"taken at the second try", []int{503, 200}, 2, 1, ""},
		{"refused", []int{404}, 2, 0, "the answer is 404"},
		{"failing", []int{500}, 2, 0, "the answer is 500"},
		{"moved: the secret does not go elsewhere", []int{301}, 2, 0, "the answer is 301"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			url, asked := service(t, tt.codes...)
			var log bytes.Buffer
			h, err := deadman.New(url, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]float64{"khronicle_deadman_sent_total success": 0, "khronicle_deadman_sent_total failure": 0}, metricsOf(t, h)); diff != "" {
				t.Errorf("metrics before the first heartbeat (-want +got):\n%s", diff)
			}
			before := time.Now().Unix()
			h.Heartbeat(t.Context())
			got := metricsOf(t, h)
			if at := got["khronicle_heartbeat_timestamp_seconds"]; at < float64(before) || at > float64(time.Now().Unix()) {
				t.Errorf("last heartbeat at %f, want now, %d", at, before)
			}
			if got["khronicle_deadman_sent_total success"] != tt.succeeded || got["khronicle_deadman_sent_total failure"] != 1-tt.succeeded || asked.Load() != tt.asked {
				t.Errorf("metrics %v after %d requests, want %g successes after %d", got, asked.Load(), tt.succeeded, tt.asked)
			}
			if !strings.Contains(log.String(), tt.log) || (tt.log == "") != (log.Len() == 0) || strings.Contains(log.String(), secret) {
				t.Errorf("log is %q, want %q and no secret", &log, tt.log)
			}
		})
	}
}

func TestHeartbeatWithoutAServiceSetsTheTime(t *testing.T) {
	h, err := deadman.New("", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if got := metricsOf(t, h); len(got) != 0 {
		t.Errorf("metrics before the first heartbeat: %v, want none: 0 would be a time", got)
	}
	h.Heartbeat(t.Context())
	if got := metricsOf(t, h); len(got) != 1 || got["khronicle_heartbeat_timestamp_seconds"] == 0 {
		t.Errorf("metrics are %v, want the time of the heartbeat alone", got)
	}
}

// The error of a connection that fails has the URL in it.
func TestTheURLIsNeverLogged(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // nobody is there
		t.Fatal(err)
	}
	for _, scheme := range []string{"http", "https"} {
		var log bytes.Buffer
		h, err := deadman.New(fmt.Sprintf("%s://user:%s@%s/%s?key=%s#%s", scheme, secret, address, secret, secret, secret), slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		h.Heartbeat(t.Context())
		if !strings.Contains(log.String(), "connection refused") || strings.Contains(log.String(), secret) || strings.Contains(log.String(), "://") {
			t.Errorf("log is %q", &log)
		}
	}
}

// hanging is a service that takes connections and says nothing.
type hanging struct{ http.RoundTripper }

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAServiceThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		h, err := deadman.New("http://127.0.0.1/"+secret, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		h.SetTransport(hanging{})
		began := time.Now()
		h.Heartbeat(context.Background())
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("gave up after %s, want two tries of 10s", took)
		}
		if strings.Contains(log.String(), secret) || log.Len() == 0 {
			t.Errorf("log is %q", &log)
		}
	})
}

func TestWhatAURLMustBe(t *testing.T) {
	for _, address := range []string{"", "http://127.0.0.1:1/" + secret, "https://hc-ping.com/" + secret, "HTTPS://user:word@[::1]:3001/api/push/" + secret + "?status=up&msg=OK&ping="} {
		if _, err := deadman.New(address, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{secret, "/" + secret, "hc-ping.com/" + secret, "ftp://hc-ping.com/" + secret, "https:///" + secret, "https://:8080/" + secret, "https://a b/" + secret, "https://h/%" + secret + "%", "https://h:" + secret} {
		_, err := deadman.New(address, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "https://hc-ping.com/UUID") {
			t.Errorf("%q: error is %v, want one that says what is right and does not show the secret", address, err)
		}
	}
}
