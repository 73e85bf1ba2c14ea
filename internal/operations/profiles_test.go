package operations_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/internal/operations"
)

func TestProfilesAreServedOnLoopbackAddressesAlone(t *testing.T) {
	tests := map[string]bool{
		"127.0.0.1:6060": true, "127.8.9.1:0": true, "[::1]:6060": true, "localhost:6060": true,
		":6060": false, "0.0.0.0:6060": false, "[::]:6060": false, "192.0.2.1:6060": false, "example.com:6060": false,
		"localhost.example.com:6060": false, "127.0.0.1": false, "127.0.0.1:": false, "6060": false, "[::ffff:192.0.2.1]:6060": false,
	}
	for address, allowed := range tests {
		err := operations.CheckLoopback(address)
		if (err == nil) != allowed {
			t.Errorf("%s: error %v, want none: %t", address, err, allowed)
		}
		if err != nil && !strings.Contains(err.Error(), `such as "127.0.0.1:6060"`) {
			t.Errorf("%s: error %v does not say what would be right", address, err)
		}
	}
}

// profiles serves them until stop is called, which returns what the server returned.
func profiles(t *testing.T) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- operations.ServeProfiles(ctx, listener, slog.New(slog.DiscardHandler)) }()
	return listener.Addr().String(), func() error { cancel(); return <-ended }
}

func askProfiles(t *testing.T, address, host, path string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

func TestProfilesOfTheProcess(t *testing.T) {
	address, stop := profiles(t)
	tests := []struct {
		name, host, path string
		status           int
		want             string
	}{
		{"list", address, "/debug/pprof/", http.StatusOK, "goroutine"},
		{"goroutines", address, "/debug/pprof/goroutine?debug=1", http.StatusOK, "TestProfilesOfTheProcess"},
		{"name of this machine", "localhost:1", "/debug/pprof/", http.StatusOK, "goroutine"},
		{"nothing else", address, "/metrics", http.StatusNotFound, "not found"},
		// A browser would send this name after an attacker has pointed it to 127.0.0.1.
		{"another name", "attacker.example.com", "/debug/pprof/goroutine?debug=1", http.StatusForbidden, "this machine alone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := askProfiles(t, address, tt.host, tt.path); status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("got %d %.200q, want %d and %q", status, body, tt.status, tt.want)
			}
		})
	}
	if err := stop(); err != nil {
		t.Errorf("ended with %v, want none", err)
	}
}

// The end of the process does not wait for a profile, which may take as long as its client likes.
func TestTheEndCutsAProfileOff(t *testing.T) {
	address, stop := profiles(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/debug/pprof/trace?seconds=3600", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := stop(); err != nil {
		t.Errorf("ended with %v, want none", err)
	}
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the profile came to an end, want that it is cut off")
	}
}
