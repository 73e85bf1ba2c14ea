package checkclient_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/external/checkclient"
)

// proxyPage is the kind of body that a proxy sends with its own errors.
const proxyPage = "<html><body><h1>503 Service Unavailable</h1></body></html>"

func TestReportIsRetriedWithItsWholeBody(t *testing.T) {
	tests := []struct {
		name   string
		script []http.HandlerFunc
		tries  int
	}{
		{"200 at once", []http.HandlerFunc{answer(200, "")}, 1},
		{"400 is delivered", []http.HandlerFunc{answer(400, "")}, 1},
		{"400 with a body is delivered", []http.HandlerFunc{answer(400, "unknown run")}, 1},
		{"503 without a body", []http.HandlerFunc{answer(503, ""), answer(200, "")}, 2},
		{"503 with a body", []http.HandlerFunc{answer(503, proxyPage), answer(200, "")}, 2},
		{"503 with a long body", []http.HandlerFunc{answer(503, strings.Repeat(proxyPage, 4096)), answer(200, "")}, 2},
		{"503 on a closed connection", []http.HandlerFunc{answerAndClose(503, ""), answer(200, "")}, 2},
		{"503 with a body on a closed connection", []http.HandlerFunc{answerAndClose(503, proxyPage), answer(200, "")}, 2},
		{"connection reset", []http.HandlerFunc{reset, answer(200, "")}, 2},
		{"resets and 5xx in turn", []http.HandlerFunc{reset, answer(502, proxyPage), reset, answer(500, ""), answer(200, "")}, 5},
		{"429 is retried", []http.HandlerFunc{answer(429, ""), answer(200, "")}, 2},
		{"retry until 400", []http.HandlerFunc{answer(503, proxyPage), answer(400, "")}, 2},
		{"204 is not a delivery", []http.HandlerFunc{answer(204, ""), answer(200, "")}, 2},
		{"404 is retried", []http.HandlerFunc{answer(404, "no such page"), answer(200, "")}, 2},
		{"410 is retried", []http.HandlerFunc{answer(410, ""), answer(200, "")}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			endpoint := newEndpoint(t, test.script...)
			setEnv(t, endpoint.URL, runUUID, "")

			if err := checkclient.Report([]string{"disk is full"}, &checkclient.Clock{Random: 0.5}); err != nil {
				t.Fatalf("report: %v", err)
			}

			got := endpoint.requests()
			if len(got) != test.tries {
				t.Fatalf("got %d tries, want %d", len(got), test.tries)
			}
			for i, try := range got {
				want := received{"POST", "/", runUUID, "application/json", `{"Errors":["disk is full"],"OK":false}`}
				if diff := cmp.Diff(want, try); diff != "" {
					t.Errorf("try %d (-want +got):\n%s", i+1, diff)
				}
			}
		})
	}
}

func TestReportGivesUpAfterThirtySeconds(t *testing.T) {
	tests := []struct {
		name   string
		random float64
		first  time.Duration
		tries  int
	}{
		{"pauses without spread", 0.5, 500 * time.Millisecond, 10},
		{"shortest pauses", 0, 250 * time.Millisecond, 12},
		{"longest pauses", 0.9999999, 750 * time.Millisecond, 9},
	}
	const want = "bad POST request to kuberhealthy status reporting url: " +
		"bad status code from kuberhealthy status reporting url: [503] 503 Service Unavailable "
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			endpoint := newEndpoint(t, answer(http.StatusServiceUnavailable, proxyPage))
			setEnv(t, endpoint.URL, runUUID, "")
			clock := &checkclient.Clock{Random: test.random}

			err := checkclient.Report(nil, clock)

			if err == nil || err.Error() != want {
				t.Errorf("got error %v, want %s", err, want)
			}
			// The pause in which the 30 s end is waited out, and one more try is made.
			last := clock.Slept[len(clock.Slept)-1]
			if got := clock.Elapsed(); got <= 30*time.Second || got-last > 30*time.Second {
				t.Errorf("gave up after %v with a last pause of %v, want the first try after 30s to be the last", got, last)
			}
			if got := clock.Slept[0].Round(time.Millisecond); got != test.first {
				t.Errorf("first pause %v, want %v", got, test.first)
			}
			if got := len(endpoint.requests()); got != test.tries {
				t.Errorf("got %d tries, want %d", got, test.tries)
			}
		})
	}
}

func TestPausesGrowByHalf(t *testing.T) {
	endpoint := newEndpoint(t, answer(500, ""), answer(500, ""), answer(500, ""), answer(500, ""), answer(200, ""))
	setEnv(t, endpoint.URL, runUUID, "")
	clock := &checkclient.Clock{Random: 0.5}

	if err := checkclient.Report(nil, clock); err != nil {
		t.Fatalf("report: %v", err)
	}

	want := []time.Duration{
		500 * time.Millisecond, 750 * time.Millisecond, 1125 * time.Millisecond, 1687500 * time.Microsecond,
	}
	if diff := cmp.Diff(want, clock.Slept); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
}

func TestTransportErrorIsRetriedAndNamed(t *testing.T) {
	endpoint := newEndpoint(t, answer(200, ""))
	url := endpoint.URL
	endpoint.Close()
	setEnv(t, url, runUUID, "")
	clock := &checkclient.Clock{Random: 0.5}

	err := checkclient.Report(nil, clock)

	if err == nil || !strings.HasPrefix(err.Error(), "bad POST request to kuberhealthy status reporting url: Post ") {
		t.Errorf("got error %v", err)
	}
	if len(clock.Slept) == 0 {
		t.Error("a refused connection was not retried")
	}
}

func TestEndpointThatNeverAnswersIsTriedAgain(t *testing.T) {
	silence := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	endpoint := newEndpoint(t, silence, answer(200, ""))
	setEnv(t, endpoint.URL, runUUID, "")

	clock := &checkclient.Clock{Random: 0.5, TryTimeout: 100 * time.Millisecond}
	if err := checkclient.Report(nil, clock); err != nil {
		t.Fatalf("report: %v", err)
	}

	if got := len(endpoint.requests()); got != 2 {
		t.Errorf("got %d tries, want 2", got)
	}
}

func TestURLThatIsNoneFailsAtOnce(t *testing.T) {
	setEnv(t, "http://[broken/", runUUID, "")
	clock := &checkclient.Clock{Random: 0.5}

	err := checkclient.Report(nil, clock)

	if err == nil || !strings.HasPrefix(err.Error(), "bad POST request to kuberhealthy status reporting url: parse ") {
		t.Errorf("got error %v", err)
	}
	if len(clock.Slept) != 0 {
		t.Errorf("slept %v, want no retry", clock.Slept)
	}
}

// A proxy for what is outside the cluster does not know the report API. The address 0.0.0.0 is this machine, but is no
// loopback address: for those, Go never uses a proxy.
func TestReportUsesNoProxy(t *testing.T) {
	proxy := newEndpoint(t, answer(200, ""))
	endpoint := newEndpoint(t, answer(200, ""))
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	setEnv(t, strings.Replace(endpoint.URL, "127.0.0.1", "0.0.0.0", 1), runUUID, "")
	if err := checkclient.ReportSuccess(); err != nil {
		t.Fatalf("report: %v", err)
	}
	if direct, proxied := len(endpoint.requests()), len(proxy.requests()); direct != 1 || proxied != 0 {
		t.Errorf("got %d reports directly and %d by the proxy, want 1 and 0", direct, proxied)
	}
}
