package rest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

// answer is what is written when the turn of its request is over.
type answer struct {
	contentType string
	body        []byte
	etag        string
	packed      bool
}

const answerKey = "answer"

// minPacked is from how many bytes on an answer is compressed.
const minPacked = 1400

// ok makes an answer of a value as JSON.
func ok(c echo.Context, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return okText(c, echo.MIMEApplicationJSON, append(body, '\n'))
}

// okText makes an answer of a text. It is compressed here, because that belongs to the turn of the request.
func okText(c echo.Context, contentType string, body []byte) error {
	sum := sha256.Sum256(body)
	made := answer{contentType: contentType, body: body, etag: `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	if len(body) >= minPacked && !matches(c.Request().Header, made.etag) && acceptsGzip(c.Request().Header) {
		packed, err := pack(body)
		if err != nil {
			return fmt.Errorf("compress answer: %w", err)
		}
		made.body, made.packed = packed, true
	}
	c.Set(answerKey, made)
	return nil
}

var packers = sync.Pool{New: func() any {
	packer, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is one of the package
	return packer
}}

func pack(body []byte) ([]byte, error) {
	packer := packers.Get().(*gzip.Writer)
	defer packers.Put(packer)
	var packed bytes.Buffer
	packer.Reset(&packed)
	if _, err := packer.Write(body); err != nil {
		return nil, err
	}
	err := packer.Close()
	return packed.Bytes(), err
}

// write writes the answer that a context has. 304: the client has it. 200: otherwise.
func write(c echo.Context) error {
	made, isAnswer := c.Get(answerKey).(answer)
	if !isAnswer {
		return fmt.Errorf("no answer to %s", c.Path())
	}
	header := c.Response().Header()
	header.Set("ETag", made.etag)
	header.Set(echo.HeaderCacheControl, "no-cache")
	header.Set(echo.HeaderVary, echo.HeaderAcceptEncoding)
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	if matches(c.Request().Header, made.etag) {
		return c.NoContent(http.StatusNotModified)
	}
	if made.packed {
		header.Set(echo.HeaderContentEncoding, "gzip")
	}
	return c.Blob(http.StatusOK, made.contentType, made.body)
}

// matches is true if the client has the content of an ETag.
func matches(header http.Header, etag string) bool {
	for known := range strings.SplitSeq(header.Get("If-None-Match"), ",") {
		known = strings.TrimSpace(known)
		if known == "*" || strings.TrimPrefix(known, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// acceptsGzip is true if the client reads gzip. Of the weights, only 0 matters.
func acceptsGzip(header http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(header.Values(echo.HeaderAcceptEncoding), ","), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			weight = strings.TrimLeft(strings.ReplaceAll(weight, " ", ""), "q=")
			return strings.Trim(weight, "0.") != "" || weight == ""
		}
	}
	return false
}
