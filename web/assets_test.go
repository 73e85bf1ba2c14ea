package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Browsers store an asset for ever under the address that pages have, because another content has another address.
func TestAssetsOfPagesAreStoredByBrowsers(t *testing.T) {
	handler := serving(t, shop(), nil)
	addresses := []string{}
	first := get(t, handler, "/")
	for _, node := range first.all(func(n *html.Node) bool { return n.Data == "link" || n.Data == "script" }) {
		addresses = append(addresses, first.link(t, attribute(node, "href")+attribute(node, "src")))
	}
	if len(addresses) != 3 {
		t.Fatalf("the page loads %q, want an icon, a style and a script", addresses)
	}
	types := map[string]string{".svg": "image/svg+xml", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	for _, address := range addresses {
		got := get(t, handler, address)
		name, _, _ := strings.Cut(address, "?")
		want := types[name[strings.LastIndex(name, "."):]]
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != want || got.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d %v", address, got.StatusCode, got.Header)
		}
		if stale := get(t, handler, name+"?v=former"); stale.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: a former address has Cache-Control %q", name, stale.Header.Get("Cache-Control"))
		}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		request.Header.Set("If-None-Match", got.Header.Get("ETag"))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusNotModified || recorder.Body.Len() > 0 {
			t.Errorf("%s: %d with %d bytes, want 304", address, recorder.Code, recorder.Body.Len())
		}
	}
}
