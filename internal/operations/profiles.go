package operations

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
)

// CheckLoopback returns an error if an address is not HOST:PORT with a loopback host. Profiles show what the memory of the
// process has, so nobody else on the network may read them.
func CheckLoopback(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && port != "" && isLoopback(host) {
		return nil
	}
	return fmt.Errorf("%q is not an address of this machine alone, such as \"127.0.0.1:6060\"", address)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// ServeProfiles answers requests to /debug/pprof/ on the listener until ctx ends. A profile in progress is cut off then.
func ServeProfiles(ctx context.Context, listener net.Listener, logger *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{
		Handler:           loopbackHost(mux),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, // no limit for writing: the client says how long a profile is
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// loopbackHost refuses requests for other hosts. Otherwise a page in a browser on this machine could read profiles under a name
// of its own that leads to the loopback address.
func loopbackHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !isLoopback(host) {
			http.Error(w, "profiles are for clients on this machine alone", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
