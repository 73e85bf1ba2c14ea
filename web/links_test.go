package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// below is the path of the API server's proxy to the Service.
const below = "/api/v1/namespaces/kuberhealthy/services/kuberhealthy:80/proxy"

// proxied serves pages below a path. The pages see their own paths, and nothing says where they are.
func proxied(t *testing.T, pages http.Handler) *httptest.Server {
	t.Helper()
	behind := httptest.NewServer(pages)
	t.Cleanup(behind.Close)
	to, err := url.Parse(behind.URL)
	must(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, below)
		r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.RawPath, below)
	}}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, below+"/") {
			http.Error(w, "this is not the proxy", http.StatusTeapot)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front
}

// crawler reads all pages that links lead to.
type crawler struct {
	*testing.T
	*httptest.Server
	seen map[string]bool
}

// read reads a page of this status, and what it links to.
func (c crawler) read(address string, status int) {
	c.Helper()
	address, _, _ = strings.Cut(address, "#")
	if c.seen[address] || len(c.seen) > 300 {
		return
	}
	c.seen[address] = true
	response, err := c.Client().Get(c.URL + address) //nolint:noctx // it ends with the test
	must(c, err)
	defer response.Body.Close()
	if response.StatusCode != status {
		c.Errorf("%s: %d, want %d", address, response.StatusCode, status)
		return
	}
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		return
	}
	root, err := html.Parse(response.Body)
	must(c, err)
	got := page{response, "", root, response.Request.URL}
	for _, name := range []string{"href", "src", "action"} {
		for _, link := range got.with(name) {
			to, found := strings.CutPrefix(got.link(c, link), c.URL)
			if !found || !strings.HasPrefix(to, below+"/") {
				c.Errorf("%s: %s=%q leads to %s, out of the proxy", address, name, link, to)
				continue
			}
			c.read(to, http.StatusOK)
		}
	}
	for _, root := range got.with("data-root") { // the script adds the path of the stream
		if to := got.link(c, root+"api/v1/changes"); to != c.URL+below+"/api/v1/changes" {
			c.Errorf("%s: the stream is %s", address, to)
		}
	}
}

// Each link of each page stays below the path of a proxy, whatever that is, and leads to a page. That is also so for the pages
// that say that there is nothing.
func TestPagesWorkBelowThePathOfAProxy(t *testing.T) {
	l, _ := filled(t)
	c := crawler{t, proxied(t, serving(t, shop(), l)), map[string]bool{}}
	c.read(below+"/", http.StatusOK)
	if len(c.seen) < 12 {
		t.Errorf("links lead to %d pages: the test has not seen them all", len(c.seen))
	}
	for _, path := range []string{
		"/nothing", "/checks/", "/checks/shop", "/checks/shop/none", "/checks/shop/pay/runs/none", "/checks/a/b/c/d/e", "/checks/a%2Fb/c", "/checks/shop/pay/",
	} {
		c.read(below+path, http.StatusNotFound)
	}
	c.read(below+"/?state=none", http.StatusBadRequest)
}

// What a client says about the path of a proxy changes nothing: anyone may say it.
func TestHeadersOfProxiesChangeNoLink(t *testing.T) {
	handler := serving(t, shop(), nil)
	want := get(t, handler, "/").body
	for name, value := range map[string]string{
		"X-Forwarded-Prefix": "//evil.example.com", "X-Forwarded-Host": "evil.example.com", "Forwarded": "host=evil.example.com", "X-Original-URL": "//evil.example.com/",
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		request.Header.Set(name, value)
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Body.String() != want {
			t.Errorf("%s: %s changes the page", name, value)
		}
	}
}
