package verb

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// servePages serves the pages behind a URL until ctx ends. They are read with the rights of transport.
func servePages(ctx context.Context, listener net.Listener, target *url.URL, transport http.RoundTripper) error {
	server := &http.Server{
		Handler: pagesOf(listener.Addr().(*net.TCPAddr).Port, target, transport), ReadHeaderTimeout: requestTimeout, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(closing) != nil { // streams of changes have no end
			_ = server.Close()
		}
	})
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// pagesOf answers requests to read pages. Another site cannot read them by a name of its own for 127.0.0.1, because the name must be
// that of this machine. Nothing of a request but its path, query and a few headers reaches the target.
func pagesOf(port int, target *url.URL, transport http.RoundTripper) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			inner, _ := innerPath(r.In.URL, target)
			r.Out.URL = target.JoinPath(inner)
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			r.Out.Host, r.Out.Header = "", http.Header{}
			for _, name := range []string{"Accept", "Cache-Control", "If-None-Match", "Last-Event-Id", "User-Agent"} {
				if values := r.In.Header.Values(name); len(values) > 0 {
					r.Out.Header[name] = values
				}
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the page cannot be read: "+firstOf(err.Error()), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := &url.URL{Host: r.Host}
		_, isPage := innerPath(r.URL, target)
		switch {
		case host.Hostname() != "127.0.0.1" && host.Hostname() != "localhost" || host.Port() != strconv.Itoa(port):
			http.Error(w, "this is not the name of this server", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the pages can only be read", http.StatusMethodNotAllowed)
		case !isPage:
			http.NotFound(w, r)
		default:
			proxy.ServeHTTP(w, r)
		}
	})
}

// innerPath returns the escaped path of a page, without the prefix that the API server puts before links. ok is false for a path
// that is no page's. Above all, it must not lead out of the Service to other parts of the API server.
func innerPath(asked, target *url.URL) (inner string, ok bool) {
	inner = strings.TrimPrefix(asked.EscapedPath(), target.EscapedPath())
	decoded, err := url.PathUnescape(inner)
	if err != nil || !strings.HasPrefix(decoded, "/") {
		return "", false
	}
	for _, segment := range strings.Split(decoded, "/") {
		if segment == "." || segment == ".." {
			return "", false
		}
	}
	first, _, _ := strings.Cut(decoded[1:], "/")
	return inner, slices.Contains([]string{"", "checks", "status", "assets", "api"}, first)
}
