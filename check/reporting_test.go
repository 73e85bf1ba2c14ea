package check_test

import (
	"testing"

	"github.com/khronicle/khronicle/check"
)

func TestIsHTTP(t *testing.T) {
	for text, want := range map[string]bool{
		"http://kuberhealthy.kuberhealthy.svc.cluster.local/externalCheckStatus": true,
		"https://user:password@health.example.com:8443/check":                    true,
		"http://[::1]:8080/check":                                                true,
		"":                                                                       false,
		"kuberhealthy":                                                           false,
		"kuberhealthy.kuberhealthy.svc:80/externalCheckStatus": false,
		"http//kuberhealthy.kuberhealthy/externalCheckStatus":  false,
		"http:///externalCheckStatus":                          false,
		"http://:8080/check":                                   false,
		"http://kuberhealthy:99999/check":                      false,
		"http://kuberhealthy:port/check":                       false,
		"ftp://kuberhealthy/check":                             false,
		"http://kuberhealthy/check\n":                          false,
	} {
		if got := check.IsHTTP(text); got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	}
}

func TestHasReportPath(t *testing.T) {
	for url, want := range map[string]bool{
		"http://a/externalCheckStatus": true, "http://a/check": true, "https://a/health/check": true, "http://a/check?from=b": true,
		"http://a": false, "http://a/": false, "http://host.kubebox:8080": false, "http://a/check/": false, "http://a/?to=/check": false,
	} {
		if got := check.HasReportPath(url); got != want {
			t.Errorf("%s: %t, want %t", url, got, want)
		}
	}
}

func TestWithReportPath(t *testing.T) {
	for _, tt := range []struct{ url, path, want string }{
		{"http://a/externalCheckStatus", "", "http://a/externalCheckStatus"},
		{"http://a/externalCheckStatus", "/check", "http://a/check"},
		{"http://a/health/check", "/externalCheckStatus", "http://a/health/externalCheckStatus"},
		{"http://a/check", "/check", "http://a/check"},
		{"http://a:8080", "/check", "http://a:8080/check"},
		{"http://a/", "/check", "http://a/check"},
		{"http://a/externalCheckStatus?from=b", "/check", "http://a/check"},
	} {
		if got := check.WithReportPath(tt.url, tt.path); got != tt.want {
			t.Errorf("%s with %q: %s, want %s", tt.url, tt.path, got, tt.want)
		}
	}
}
