package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"

	"github.com/khronicle/khronicle/internal/answer"
)

//go:embed assets
var assetFiles embed.FS

// asset is a style, a script or a picture.
type asset struct {
	contentType, version string
	body                 []byte
}

func readAssets() (map[string]asset, error) {
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	all := map[string]asset{}
	for _, entry := range entries {
		body, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read asset %s: %w", entry.Name(), err)
		}
		sum := sha256.Sum256(body)
		all[entry.Name()] = asset{contentTypes[path.Ext(entry.Name())], hex.EncodeToString(sum[:6]), body}
	}
	return all, nil
}

// contentTypes are those of assets. The tables of the system differ from one image to the next.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// assetURL is the address of an asset as a page names it. It changes with the content, so browsers may store it for ever.
func (p *Pages) assetURL(at root, name string) string {
	return string(at) + "assets/" + name + "?v=" + p.assets[name].version
}

// asset serves GET /assets/{file}. 200, 304. 404: there is none.
func (p *Pages) asset(w http.ResponseWriter, r *http.Request) {
	found, ok := p.assets[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("ETag", `W/"`+found.version+`"`)
	header.Set("Vary", "Accept-Encoding")
	header.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == found.version {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if answer.Matches(r.Header, header.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", found.contentType)
	body, packed, err := answer.Pack(r.Header, found.body)
	if err == nil && packed {
		header.Set("Content-Encoding", "gzip")
	}
	_, _ = w.Write(body) // the client may have left
}
