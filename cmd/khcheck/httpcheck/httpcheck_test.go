package httpcheck_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/cmd/khcheck/httpcheck"
	"github.com/khronicle/khronicle/cmd/khcheck/settings"
)

// config reads a configuration that must be right.
func config(t *testing.T, variables map[string]string) httpcheck.Config {
	t.Helper()
	env := settings.New(func(name string) string { return variables[name] })
	c := httpcheck.FromEnv(env)
	if problems := env.Problems(); problems != nil {
		t.Fatalf("configuration: %q", problems)
	}
	return c
}

// shop answers as the path says; /flaky fails every second request.
func shop(t *testing.T) *httptest.Server {
	t.Helper()
	var requests atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all is ok here") })
	mux.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusMovedPermanently) })
	mux.HandleFunc("/flaky", func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1)%2 == 0 {
			w.WriteHeader(503)
		}
	})
	mux.HandleFunc("PUT /echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestRunReportsAnswersThatAreNotAsExpected(t *testing.T) {
	server := shop(t)
	url := server.URL
	tests := []struct {
		name string
		env  map[string]string
		want []string
	}{
		{"status 200", map[string]string{"CHECK_URL": url + "/ok"}, nil},
		{"wanted text", map[string]string{"CHECK_URL": url + "/ok", "TARGET_STRING": "is ok"}, nil},
		{
			"wanted text is missing",
			map[string]string{"CHECK_URL": url + "/ok", "TARGET_STRING": "sold out"},
			[]string{"GET " + url + `/ok: body does not contain "sold out"; it begins with "all is ok here"`},
		},
		{
			"wrong status",
			map[string]string{"CHECK_URL": url + "/busy"},
			[]string{"GET " + url + "/busy: status 503, want 200"},
		},
		{"expected status", map[string]string{"CHECK_URL": url + "/busy", "EXPECTED_STATUS_CODE": "503"}, nil},
		{
			"one of several",
			map[string]string{"CHECK_URL": url + "/busy", "EXPECTED_STATUS_CODE": "200, 404"},
			[]string{"GET " + url + "/busy: status 503, want 200 or 404"},
		},
		{"redirect is followed", map[string]string{"CHECK_URL": url + "/moved", "TARGET_STRING": "ok"}, nil},
		{"redirect is expected", map[string]string{"CHECK_URL": url + "/moved", "EXPECTED_STATUS_CODE": "301"}, nil},
		{
			"method and body",
			map[string]string{"CHECK_URL": url + "/echo", "REQUEST_TYPE": "put", "REQUEST_BODY": "ping", "TARGET_STRING": "ping"},
			nil,
		},
		{
			"password is not shown",
			map[string]string{"CHECK_URL": strings.Replace(url, "//", "//anna:secret@", 1) + "/busy"},
			[]string{"GET " + strings.Replace(url, "//", "//anna:xxxxx@", 1) + "/busy: status 503, want 200"},
		},
		{
			"enough of several pass",
			map[string]string{"CHECK_URL": url + "/flaky", "COUNT": "4", "PASSING_PERCENT": "50"},
			nil,
		},
		{
			"too few of several pass",
			map[string]string{"CHECK_URL": url + "/flaky", "COUNT": "4", "PASSING_PERCENT": "51"},
			[]string{
				"GET " + url + "/flaky: 2 of 4 requests passed, want 51%",
				"GET " + url + "/flaky: status 503, want 200 (2 times)",
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := config(t, test.env).Run(t.Context())
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunNamesTheURLThatDoesNotAnswer(t *testing.T) {
	server := shop(t)
	server.Close()
	got := config(t, map[string]string{"CHECK_URL": server.URL + "/ok"}).Run(t.Context())
	if len(got) != 1 || !strings.Contains(got[0], server.URL+"/ok") || !strings.Contains(got[0], "connection refused") {
		t.Errorf("got faults %q, want the URL and that the connection was refused", got)
	}
}

func TestRunEndsWithItsTime(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	t.Cleanup(server.Close)

	got := config(t, map[string]string{"CHECK_URL": server.URL, "COUNT": "3", "SECONDS": "3600"}).Run(ctx)

	if len(got) < 2 || !strings.HasSuffix(got[0], "of 3 requests passed, want 100%") {
		t.Fatalf("got faults %q, want a summary and a reason", got)
	}
	if want := "time ran out after 1 of 3 requests"; got[len(got)-1] != want {
		t.Errorf("last fault is %q, want %q", got[len(got)-1], want)
	}
}

func TestRunTellsAFewFaultsOfMany(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400 + int(requests.Add(1)))
	}))
	t.Cleanup(server.Close)

	got := config(t, map[string]string{"CHECK_URL": server.URL, "COUNT": "8"}).Run(t.Context())

	if len(got) != 7 || got[6] != "and 3 further faults" {
		t.Errorf("got faults %q, want a summary, five faults and a count of the others", got)
	}
}

func TestFromEnvSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name string
		env  map[string]string
		want []string
	}{
		{
			"no URL", nil,
			[]string{`CHECK_URL="": want a URL such as http://shop.default.svc.cluster.local/healthz`},
		},
		{
			"URL without scheme",
			map[string]string{"CHECK_URL": "shop/healthz"},
			[]string{`CHECK_URL="shop/healthz": want a URL such as http://shop.default.svc.cluster.local/healthz`},
		},
		{
			"everything else",
			map[string]string{
				"CHECK_URL": "http://shop", "REQUEST_TYPE": "GET IT", "EXPECTED_STATUS_CODE": "200,fine", "COUNT": "0",
				"SECONDS": "1s", "PASSING_PERCENT": "80%",
			},
			[]string{
				`REQUEST_TYPE="GET IT": want an HTTP method such as GET or POST`,
				`EXPECTED_STATUS_CODE="200,fine": want status codes such as 200 or 200,204`,
				`COUNT="0": want a whole number from 1 to 10000`,
				`SECONDS="1s": want a whole number from 0 to 86400`,
				`PASSING_PERCENT="80%": want a whole number from 1 to 100`,
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := settings.New(func(name string) string { return test.env[name] })
			httpcheck.FromEnv(env)
			if diff := cmp.Diff(test.want, env.Problems()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
