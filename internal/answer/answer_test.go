package answer_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/khronicle/khronicle/internal/answer"
)

func TestPagesAreForThoseWhoAskForHTML(t *testing.T) {
	tests := []struct {
		name, accept string
		want         bool
	}{
		{"Firefox", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true},
		{"Chromium", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", true},
		{"curl", "*/*", false},
		{"no header", "", false},
		{"JSON", "application/json", false},
		{"both, HTML first", "text/html, application/json;q=0.9", true},
		{"both, equal", "application/json, text/html", true},
		{"both, JSON first", "application/json, text/html;q=0.9", false},
		{"HTML below anything", "text/html;q=0.5, */*", false},
		{"HTML below any application", "text/html;q=0.5, application/*", false},
		{"JSON below any application", "text/html;q=0.5, application/*, application/json;q=0.1", true},
		{"HTML refused", "text/html;q=0, */*;q=0.1", false},
		{"in capitals", "TEXT/HTML", true},
		{"any text", "text/*", false},
		{"a weight that is none", "text/html;q=most", false},
		{"a weight that is no number", "text/html;q=NaN", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			if tt.accept != "" {
				header.Set("Accept", tt.accept)
			}
			if got := answer.PrefersHTML(header); got != tt.want {
				t.Errorf("Accept: %s: %t, want %t", tt.accept, got, tt.want)
			}
		})
	}
}

func TestPackCompressesForThoseWhoReadGzip(t *testing.T) {
	long := []byte(strings.Repeat("a line of text\n", 1000))
	tests := []struct {
		name, accept string
		body         []byte
		want         bool
	}{
		{"reads gzip", "br, gzip;q=0.5", long, true},
		{"short", "gzip", []byte("short"), false},
		{"does not", "br", long, false},
		{"refuses", "gzip;q=0", long, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, packed, err := answer.Pack(http.Header{"Accept-Encoding": {tt.accept}}, tt.body)
			if err != nil || packed != tt.want {
				t.Fatalf("packed is %t, want %t, error %v", packed, tt.want, err)
			}
			if packed {
				reader, err := gzip.NewReader(bytes.NewReader(got))
				if err != nil {
					t.Fatal(err)
				}
				if got, err = io.ReadAll(reader); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, tt.body) {
				t.Errorf("%d bytes came back of %d", len(got), len(tt.body))
			}
		})
	}
}
