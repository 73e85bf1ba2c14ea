package wire

import (
	"fmt"
	"strings"

	"github.com/khronicle/khronicle/external/status"
)

// maxReport is the largest report in bytes, as docs/protocol.md has it.
const maxReport = 512 << 10

// maxDepth is how deep JSON may be nested.
const maxDepth = 10_000

// Accepted is a request that is answered 200, with the report that its run must get.
type Accepted struct {
	Name string
	Request
	Report status.Report
}

const good = `{"OK":true,"Errors":[]}`

// AcceptedCases are the dialects of the clients there are, and what else is a valid report.
func AcceptedCases() []Accepted {
	var all []Accepted
	add := func(name string, request Request, errors ...string) {
		all = append(all, Accepted{name, request, status.NewReport(errors)})
	}
	body := func(name, body string, errors ...string) { add(name, Request{Body: body}, errors...) }

	body("D1 v3", `{"ok":true,"currentUUID":""}`)
	body("D2 v3, failed", `{"ok":false,"errors":["a","b"],"currentUUID":""}`, "a", "b")
	body("D3 v2", `{"Errors":[],"OK":true}`)
	body("D3 v2, null errors", `{"Errors":null,"OK":true}`)
	add("D4 v2's path", Request{Path: "/externalCheckStatus", Body: `{"Errors":["x"],"OK":false}`}, "x")
	add("D5 charset", Request{Header: []string{identity, jsonType + "; charset=utf-8"}, Body: good})
	add("D5 content type in capitals", Request{Header: []string{identity, "Content-Type: Application/JSON"}, Body: good})
	for _, path := range []string{"/check", "/externalCheckStatus"} {
		add("D5 no type at "+path, Request{Path: path, Header: []string{identity}, Body: good})
		add("D5 another type at "+path, Request{Path: path, Header: []string{identity, "Content-Type: text/plain"}, Body: good})
	}
	add("D12 header names in any case", Request{Header: []string{"KH-RUN-uuid: " + UUID, "content-type: application/json"}, Body: good})

	add("blanks around the run UUID", Request{Header: []string{"kh-run-uuid: \t " + UUID + " \t", jsonType}, Body: good})
	add("no blank before the run UUID", Request{Header: []string{"kh-run-uuid:" + UUID, jsonType}, Body: good})
	add("run UUID twice the same", Request{Header: []string{identity, identity, jsonType}, Body: good})
	add("query", Request{Path: "/check?source=test", Body: good})
	add("encoding that is none", Request{Header: []string{identity, jsonType, "Content-Encoding: identity"}, Body: good})
	add("client that waits to be let", Request{Raw: "Expect: 100-continue\r\nContent-Length: 23\r\n\r\n" + good})
	add("HTTP/1.0", Request{Proto: "HTTP/1.0", Body: good})
	add("chunks", Request{Raw: chunked(`{"OK":false,"Errors":["in pieces"]}`, 3)}, "in pieces")
	add("chunks with extension and trailer", Request{Raw: "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
		"17;a=b\r\n" + good + "\r\n0\r\nX-Sum: 1\r\n\r\n"})
	add("largest report in chunks", Request{Raw: chunked(filled(maxReport, "x"), 4096)}, filling(maxReport, "x"))

	body("keys of any case", `{"oK":false,"eRRORS":["a"]}`, "a")
	body("further keys", `{"OK":true,"Node":{"x":[1,{}]},"Namespace":"n","n":1e400}`)
	body("white space", " \n{ \"OK\" : true }\r\n\t ")
	body("no OK is not OK", `{"Errors":["a"]}`, "a")
	body("null OK is not OK", `{"OK":null,"Errors":["a"]}`, "a")
	body("a key twice: the last counts", `{"OK":false,"Errors":["a","b"],"errors":["c"]}`, "c")
	body("a key twice: the last is empty", `{"OK":false,"Errors":["a"],"Errors":[],"OK":true}`)
	body("deepest nesting", `{"OK":true,"x":`+strings.Repeat("[", maxDepth-1)+strings.Repeat("]", maxDepth-1)+`}`)

	body("multi-line error", `{"OK":false,"Errors":["one\ntwo\r\n\\ \"three\"\ttab"]}`, "one\ntwo\r\n\\ \"three\"\ttab")
	body("blank error", `{"OK":false,"Errors":[" "]}`, " ")
	body("error that is not UTF-8", "{\"OK\":false,\"Errors\":[\"a\xff\xc3(\"]}", "a\uFFFD\uFFFD(")
	body("halves of surrogate pairs", `{"OK":false,"Errors":["\ud800","\udc00x","\ud83d\ude00"]}`, "\uFFFD", "\uFFFDx", "😀")
	body("zero bytes", `{"OK":false,"Errors":["\u0000","a\u0000b"]}`, "\uFFFD", "a\uFFFDb")
	body("control characters", `{"OK":false,"Errors":["\u0001\u001b[31m\u007f\u009f\u2028\ufeff\uffff"]}`, "\x01\x1b[31m\x7f\u009f\u2028\ufeff\uffff")
	body("D13 10,000 errors", list(faults(10_000)), faults(10_000)...)
	body("D13 as many errors as there may be", list(repeated(131_000)), repeated(131_000)...)
	body("D13 largest report", filled(maxReport, "x"), filling(maxReport, "x"))
	return all
}

// list is a report with these errors, which need no escape.
func list(errors []string) string {
	return `{"OK":false,"Errors":["` + strings.Join(errors, `","`) + `"]}`
}

func faults(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("fault %d", i)
	}
	return all
}

func repeated(n int) []string { return strings.Split(strings.Repeat("x", n), "") }

// filled is a report of at most this size with one long error.
func filled(size int, c string) string { return list([]string{filling(size, c)}) }

func filling(size int, c string) string {
	return strings.Repeat(c, (size-len(list([]string{""})))/len(c))
}
