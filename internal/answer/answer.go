// Package answer has what the REST API and the pages share: how an HTTP answer is compressed, and whether a client has it
// already.
package answer

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
)

// minPacked is from how many bytes on compressing pays.
const minPacked = 1400

var packers = sync.Pool{New: func() any {
	packer, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one of the package
	return packer
}}

// Pack returns a body as gzip if that pays and the client reads gzip. Otherwise it returns the body, and packed is false.
func Pack(client http.Header, body []byte) (result []byte, packed bool, err error) {
	if len(body) < minPacked || !AcceptsGzip(client) {
		return body, false, nil
	}
	packer := packers.Get().(*gzip.Writer)
	defer packers.Put(packer)
	var made bytes.Buffer
	packer.Reset(&made)
	if _, err := packer.Write(body); err != nil {
		return nil, false, err
	}
	if err := packer.Close(); err != nil {
		return nil, false, err
	}
	return made.Bytes(), true, nil
}

// ETag returns the weak ETag of a body.
func ETag(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// Matches is true if the client has the content of an ETag.
func Matches(client http.Header, etag string) bool {
	for known := range strings.SplitSeq(client.Get("If-None-Match"), ",") {
		known = strings.TrimSpace(known)
		if known == "*" || strings.TrimPrefix(known, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// AcceptsGzip is true if the client reads gzip. Of the weights, only 0 matters.
func AcceptsGzip(client http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(client.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.TrimLeft(strings.ReplaceAll(weight, " ", ""), "q=")
			return strings.Trim(weight, "0.") != "" || weight == ""
		}
	}
	return false
}
