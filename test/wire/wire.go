// Package wire holds requests to the report API, as bytes on a connection, each with the answer that it must get. Two kinds
// of tests use this table. The tests of package reportapi use a fake Temporal, the end-to-end tests use no fake. The
// package is for tests alone.
package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// UUID stands in a header for the UUID of the run that a case is sent to.
const UUID = "RUN-UUID"

// identity and jsonType are what every client of Kuberhealthy's since v2.5 sends.
const (
	identity = "kh-run-uuid: " + UUID
	jsonType = "Content-Type: application/json"
)

// patience bounds one exchange.
const patience = 20 * time.Second

// Request is written as it is: nothing is escaped, corrected or completed, save for the length of its body.
type Request struct {
	// Method, Path and Proto are POST, /check and HTTP/1.1 unless they are given.
	Method, Path, Proto string
	// Header has the lines between the host and the length. Nil is what Kuberhealthy's clients send.
	Header []string
	Body   string
	// Raw is written in place of length and body, together with the blank line between them.
	Raw string
	// Hangup ends the client's side of the connection after the request.
	Hangup bool
}

// Bytes returns the request of a run.
func (r Request) Bytes(runUUID string) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s %s\r\nHost: khronicle\r\n", or(r.Method, http.MethodPost), or(r.Path, "/check"), or(r.Proto, "HTTP/1.1"))
	header := r.Header
	if header == nil {
		header = []string{identity, jsonType}
	}
	for _, line := range header {
		text.WriteString(strings.ReplaceAll(line, UUID, runUUID) + "\r\n")
	}
	if r.Raw != "" {
		text.WriteString(r.Raw)
	} else {
		text.WriteString("Content-Length: " + strconv.Itoa(len(r.Body)) + "\r\n\r\n" + r.Body)
	}
	return []byte(text.String())
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	// Took is the time from the first byte of the request to the end of the answer.
	Took time.Duration
}

// Send sends the request of a run on a connection of its own.
func (r Request) Send(ctx context.Context, address, runUUID string) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return Answer{}, err
	}
	defer connection.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = connection.SetDeadline(deadline) // the reading fails if this does
	}
	began := time.Now()
	go r.write(connection, runUUID)
	response, err := r.read(bufio.NewReader(connection))
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(body), Took: time.Since(began)}, err
}

// write gives up when the server does: it need not read all to know its answer.
func (r Request) write(connection net.Conn, runUUID string) {
	if _, err := connection.Write(r.Bytes(runUUID)); err == nil && r.Hangup {
		_ = connection.(*net.TCPConn).CloseWrite()
	}
}

// read returns the first answer that is one, after any 100 (Continue).
func (r Request) read(from *bufio.Reader) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(from, &http.Request{Method: or(r.Method, http.MethodPost)})
		if err != nil || response.StatusCode != http.StatusContinue {
			return response, err
		}
	}
}

// chunked is a body in chunks of at most this size.
func chunked(body string, size int) string {
	var text strings.Builder
	text.WriteString("Transfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		n := min(size, len(body))
		fmt.Fprintf(&text, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return text.String() + "0\r\n\r\n"
}

// Seeds are the bodies of all cases but the long ones, for fuzz tests to begin with.
func Seeds() []string {
	var all []string
	for _, c := range AcceptedCases() {
		all = append(all, c.Body)
	}
	for _, c := range RefusedCases() {
		all = append(all, c.Body)
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(body string) bool { return len(body) > longSeed })
}

// longSeed is what a fuzz test would spend its time on copying, in bytes.
const longSeed = 1000
