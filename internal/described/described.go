// Package described holds answers of the REST API against its description, api/openapi.yaml. Tests alone import it. Each
// answer that a test gets goes through Handler or Transport, so an answer that is not described fails the test that sees it.
package described

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/khronicle/khronicle/api"
)

// Base is the path below which the description's paths are.
const Base = "/api/v1"

// Reporter is the test that an answer fails, such as *testing.T.
type Reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// Document is the description. Each object has only the fields that it describes, so that another one is found.
var Document = sync.OnceValues(func() (*openapi3.T, error) {
	for _, kind := range []string{"image/svg+xml", "application/openapi+yaml", "text/event-stream"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	if err != nil {
		return nil, err
	}
	for _, schema := range doc.Components.Schemas {
		if object := schema.Value; object.Type.Is("object") && object.AdditionalProperties.Schema == nil {
			object.AdditionalProperties = openapi3.AdditionalProperties{Has: new(false)}
		}
	}
	return doc, doc.Validate(context.Background())
})

// Operations returns the paths of the description, in their order.
func Operations() ([]string, error) {
	doc, err := Document()
	if err != nil {
		return nil, err
	}
	return slices.Sorted(func(yield func(string) bool) {
		for path := range doc.Paths.Map() {
			if !yield(path) {
				return
			}
		}
	}), nil
}

var placeholder = regexp.MustCompile(`\\\{\w+\\\}`)

// operationOf returns the operation of a path as it was sent, and "" if there is none.
func operationOf(doc *openapi3.T, sent string) string {
	sent, below := strings.CutPrefix(sent, Base)
	if !below {
		return ""
	}
	for path := range doc.Paths.Map() {
		pattern := "^" + placeholder.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$"
		if regexp.MustCompile(pattern).MatchString(sent) {
			return path
		}
	}
	return ""
}

// Check fails the test if an answer is not as described. Errors of all paths and methods are problems, also of those that the
// description does not have. The body may be compressed.
func Check(t Reporter, request *http.Request, status int, header http.Header, body []byte) {
	t.Helper()
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s: %d is not as described: %s\n%s", request.Method, request.URL, status, fmt.Sprintf(format, args...), bytes.TrimSpace(body[:min(len(body), 2000)]))
	}
	doc, err := Document()
	if err != nil {
		fail("the description is not valid: %v", err)
		return
	}
	if body, err = unpacked(header, body); err != nil {
		fail("the body cannot be unpacked: %v", err)
		return
	}
	for _, err := range []error{ofStatus(request, status, header, body), ofOperation(doc, request, status, header, body)} {
		if err != nil {
			fail("%v", err)
		}
	}
}

// ofStatus holds an answer against what holds for its status code in every operation.
func ofStatus(request *http.Request, status int, header http.Header, body []byte) error {
	switch {
	case status == http.StatusNotModified && len(body) > 0:
		return errors.New("it has a body")
	case status >= http.StatusBadRequest && request.Method != http.MethodHead:
		return problem(status, header, body)
	default:
		return nil
	}
}

// ofOperation holds an answer against the operation of its path.
func ofOperation(doc *openapi3.T, request *http.Request, status int, header http.Header, body []byte) error {
	operation := operationOf(doc, request.URL.EscapedPath())
	read := request.Method == http.MethodGet || request.Method == http.MethodHead
	switch {
	case operation != "" && read:
		return validate(doc, operation, request, status, header, body)
	case operation != "" && status != http.StatusMethodNotAllowed && request.Method != http.MethodOptions, operation == "" && status != http.StatusNotFound:
		return errors.New("it is the answer to an operation that is not described")
	default:
		return nil
	}
}

func unpacked(header http.Header, body []byte) ([]byte, error) {
	if header.Get("Content-Encoding") != "gzip" || len(body) == 0 { // an answer to HEAD has no body
		return body, nil
	}
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}

// validate holds an answer to GET or HEAD against its operation.
func validate(doc *openapi3.T, operation string, request *http.Request, status int, header http.Header, body []byte) error {
	item := doc.Paths.Find(operation)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: request, Route: &routers.Route{Spec: doc, Path: operation, PathItem: item, Method: http.MethodGet, Operation: item.Get},
		},
		Status: status, Header: header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: request.Method == http.MethodHead},
	}
	input.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(request.Context(), input)
}

// problem returns what is wrong with an error as in RFC 9457.
func problem(status int, header http.Header, body []byte) error {
	if kind := header.Get("Content-Type"); kind != "application/problem+json" {
		return fmt.Errorf("its type is %q, want a problem", kind)
	}
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	switch err := json.Unmarshal(body, &p); {
	case err != nil:
		return err
	case p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Status != status || p.Detail == "":
		return fmt.Errorf("the problem is %+v", p)
	case status == http.StatusServiceUnavailable && header.Get("Retry-After") == "":
		return fmt.Errorf("it has no Retry-After")
	case status == http.StatusMethodNotAllowed && header.Get("Allow") == "":
		return fmt.Errorf("it has no Allow")
	}
	return nil
}
