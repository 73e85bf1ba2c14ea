package verb

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/external/apiclient"
)

const servicePath = "/api/v1/namespaces/kuberhealthy/services/kuberhealthy:80/proxy"

// What asks the proxy of the pages never reaches another part of the API server, whose credentials the proxy has.
func TestTheProxyOfThePagesStaysInTheService(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.EscapedPath()+"?"+r.URL.RawQuery+" "+r.Header.Get("Authorization")+r.Header.Get("Cookie")+r.Header.Get("Impersonate-User"))
	}))
	defer server.Close()
	target, err := url.Parse(server.URL + servicePath)
	if err != nil {
		t.Fatal(err)
	}
	const port = 4711
	handler := pagesOf(port, target, http.DefaultTransport)
	tests := []struct {
		name, method, path string
		status             int
		want               string
	}{
		{"all checks", "GET", "/?state=failing", 200, "/?state=failing"},
		{"a check", "GET", "/checks/shop/pay", 200, "/checks/shop/pay?"},
		{"a name that is escaped", "GET", "/checks/shop/a%20b%2Fc", 200, "/checks/shop/a%20b%2Fc?"},
		{"a link that the API server has rewritten", "GET", servicePath + "/status", 200, "/status?"},
		{"an asset", "HEAD", "/assets/style.css", 200, "/assets/style.css?"},
		{"changes", "GET", "/api/v1/changes", 200, "/api/v1/changes?"},
		{"metrics", "GET", "/metrics", 404, ""},
		{"the root of the prefix", "GET", servicePath, 404, ""},
		{"above", "GET", "/checks/../../../../../../../../api/v1/secrets", 404, ""},
		{"above, escaped", "GET", "/checks/%2e%2e/%2E%2e/x", 404, ""},
		{"above, with escaped slashes", "GET", "/checks%2f..%2f..%2fx", 404, ""},
		{"above a rewritten link", "GET", servicePath + "/../../../../pods", 404, ""},
		{"a report", "POST", "/checks/shop/pay", 405, ""},
		{"a deletion", "DELETE", "/checks/shop/pay", 405, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked = nil
			request := httptest.NewRequestWithContext(t.Context(), tt.method, "http://127.0.0.1:4711"+tt.path, nil)
			for _, name := range []string{"Authorization", "Cookie", "Impersonate-User"} {
				request.Header.Set(name, "hostile")
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			var want []string
			if tt.want != "" {
				want = []string{tt.method + " " + servicePath + tt.want + " "}
			}
			if recorder.Code != tt.status || !slices.Equal(asked, want) {
				t.Errorf("status %d, asked for %q, want %d, %q", recorder.Code, asked, tt.status, want)
			}
		})
	}
	for _, host := range []string{"attacker.example:4711", "127.0.0.1:80", "127.0.0.1", "localhost.attacker.example:4711", "[::1]:4711"} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/", nil)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusMisdirectedRequest {
			t.Errorf("host %s: status %d, want 421", host, recorder.Code)
		}
	}
}

func TestAPageThatCannotBeReadSaysWhy(t *testing.T) {
	target := &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: servicePath}
	recorder := httptest.NewRecorder()
	pagesOf(4711, target, http.DefaultTransport).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:4711/", nil))
	if recorder.Code != http.StatusBadGateway || !strings.Contains(recorder.Body.String(), "connection refused") {
		t.Errorf("status %d: %s", recorder.Code, recorder.Body)
	}
}

func TestPathsOfPages(t *testing.T) {
	name := ref{"shop", "pay"}
	for want, got := range map[string]string{
		"/checks/shop/pay":                     pathOf(name, apiclient.KindCheck),
		"/checks/shop/pay?kind=job":            pathOf(name, apiclient.KindJob),
		"/checks/shop/pay/runs/job-1?kind=job": pathOf(name, apiclient.KindJob, "runs", "job-1"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestTheBrowserIsThatOfTheSystem(t *testing.T) {
	tests := []struct {
		system, display string
		want            string
	}{
		{"linux", "DISPLAY", "[xdg-open]"},
		{"freebsd", "WAYLAND_DISPLAY", "[xdg-open]"},
		{"linux", "", "[] there is no display"},
		{"darwin", "", "[open]"},
		{"windows", "", "[rundll32 url.dll,FileProtocolHandler]"},
	}
	for _, tt := range tests {
		program, err := browserOf(tt.system, func(name string) string { return map[string]string{tt.display: ":0"}[name] })
		got := fmt.Sprint(program)
		if err != nil {
			got += " " + err.Error()
		}
		if got != tt.want {
			t.Errorf("%s with %q: %s, want %s", tt.system, tt.display, got, tt.want)
		}
	}
}
