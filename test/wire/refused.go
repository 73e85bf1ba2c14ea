package wire

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
)

// Refused is a request that must not reach the run, with the answer to it.
type Refused struct {
	Name string
	Request
	Status int
}

// RefusedCases are all that is no valid report: the client's fault, and answered so.
func RefusedCases() []Refused {
	all := malformed()
	all = append(all, contradictory()...)
	all = append(all, oversized()...)
	all = append(all, misaddressed()...)
	all = append(all, unsupported()...)
	return append(all, misframed()...)
}

// bodies are cases that differ in their body alone: name, body, name, body, …
func bodies(status int, pairs ...string) []Refused {
	var all []Refused
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, Refused{pairs[i], Request{Body: pairs[i+1]}, status})
	}
	return all
}

func malformed() []Refused {
	return bodies(http.StatusBadRequest,
		"D8 no body", "", "white space alone", " \r\n\t ", "no JSON", "OK", "D8 broken JSON", `{"OK":true`,
		"single quotes", `{'OK':true}`, "no quotes", `{OK:true}`, "trailing comma", `{"OK":true,}`, "comment", `{"OK":true} // fine`,
		"trailing garbage", good+"x", "trailing zero byte", good+"\x00", "two reports", good+good, "half of a second", good+`{`,
		"byte order mark", "\uFEFF"+good, "UTF-16", "\xff\xfe{\x00\"\x00O\x00K\x00\"\x00:\x00t\x00r\x00u\x00e\x00}\x00",
		"form", "OK=true&Errors=", "HTML", "<html><body>502 Bad Gateway</body></html>", "YAML", "OK: true\nErrors: []\n",
		"null", "null", "true", "true", "a number", "1", "a text", `"OK"`, "an array", "[]", "an array of a report", "["+good+"]",
		"an empty object", "{}", "neither key", `{"Okay":true,"Error":"a"}`, "nulls", `{"OK":null,"Errors":null}`, "empty key", `{"":true}`,
		"OK is yes", `{"OK":"yes"}`, "OK is a text", `{"OK":"true","Errors":[]}`, "OK is a number", `{"OK":1,"Errors":[]}`,
		"OK is an array", `{"OK":[true]}`, "OK is an object", `{"OK":{}}`, "OK is True", `{"OK":True}`, "OK is nothing", `{"OK":}`,
		"OK is NaN", `{"OK":NaN}`, "OK is a huge number", `{"OK":`+strings.Repeat("9", 100_000)+`}`, "OK is 1e999999999", `{"OK":1e999999999}`,
		"Errors is a text", `{"OK":false,"Errors":"a"}`, "Errors is an object", `{"OK":false,"Errors":{"a":"b"}}`,
		"Errors is true", `{"OK":false,"Errors":true}`, "Errors is a number", `{"OK":false,"Errors":7}`,
		"Errors has numbers", `{"OK":false,"Errors":[1,2.5e3]}`, "Errors has a huge number", `{"OK":false,"Errors":[`+strings.Repeat("1", 100_000)+`]}`,
		"Errors has a number behind a text", `{"OK":false,"Errors":["a",1]}`, "Errors has a list", `{"OK":false,"Errors":[["a"]]}`,
		"Errors has objects", `{"OK":false,"Errors":[{"message":"a"}]}`, "Errors has booleans", `{"OK":false,"Errors":[true,false]}`,
		"Errors has 170,000 objects", `{"OK":false,"Errors":[`+strings.Repeat("{},", 169_999)+`{}]}`,
		"a bad key before a good one", `{"Errors":7,"OK":true,"Errors":[]}`,
		"line break in a text", "{\"OK\":false,\"Errors\":[\"a\nb\"]}", "zero byte in a text", "{\"OK\":false,\"Errors\":[\"a\x00b\"]}",
		"zero byte between tokens", "{\x00\"OK\":true}", "no such escape", `{"OK":false,"Errors":["\x41"]}`,
		"half an escape", `{"OK":false,"Errors":["\ud8"]}`, "text without an end", `{"OK":false,"Errors":["a`,
		"one nesting too deep", `{"OK":true,"x":`+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)+`}`,
		"deep OK", `{"OK":`+strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth)+`}`,
		"deep and open", strings.Repeat("[", 400_000), "deep objects", strings.Repeat(`{"OK":`, 50_000),
	)
}

func contradictory() []Refused {
	return bodies(http.StatusBadRequest,
		"D8 OK with errors", `{"OK":true,"Errors":["a"]}`, "D8 not OK without errors", `{"OK":false,"Errors":[]}`,
		"not OK and no list", `{"OK":false}`, "not OK and null", `{"OK":false,"Errors":null}`, "no OK and no errors", `{"Errors":[]}`,
		"D8 empty error", `{"OK":false,"Errors":["a",""]}`, "null error", `{"OK":false,"Errors":[null]}`,
		"null error behind a text", `{"OK":false,"Errors":["a",null]}`, "OK with an empty error", `{"OK":true,"Errors":[""]}`,
		"10,000 empty errors", list(make([]string, 10_000)), "a key twice: the last has a null", `{"OK":false,"Errors":["a","b"],"Errors":[null,"c"]}`,
		"a key twice: the last is null", `{"OK":false,"Errors":["a"],"Errors":null}`, "a key twice: OK after all", `{"OK":false,"Errors":["a"],"ok":true}`,
	)
}

func oversized() []Refused {
	all := bodies(http.StatusRequestEntityTooLarge,
		"one byte too large", filled(maxReport+1, "x"), "D13 1 MiB", filled(1<<20, "x"), "20 MiB", filled(20<<20, "x"),
		"1 MiB of white space", strings.Repeat(" ", 1<<20)+good, "1 MiB behind the report", good+strings.Repeat(" ", 1<<20),
		"characters that JSON writes with six", filled(maxReport, "<"), "bytes that become three", filled(maxReport, "\xff"),
		"300,000 objects", `{"OK":false,"Errors":[`+strings.Repeat("{},", 299_999)+`{}]}`, "deep and large", strings.Repeat("[", 1<<20),
	)
	for name, raw := range map[string]string{
		"1 TiB announced":            "Content-Length: 1099511627776\r\n\r\n" + good,
		"1 TiB that waits to be let": "Expect: 100-continue\r\nContent-Length: 1099511627776\r\n\r\n",
		"1 MiB in chunks":            chunked(filled(1<<20, "x"), 4096),
		"1 MiB in one chunk":         chunked(filled(1<<20, "x"), 1<<20),
	} {
		all = append(all, Refused{name, Request{Raw: raw}, http.StatusRequestEntityTooLarge})
	}
	return all
}

// misaddressed are good reports that name no run, or not only one.
func misaddressed() []Refused {
	var all []Refused
	add := func(name string, status int, lines ...string) {
		for _, path := range []string{"/check", "/externalCheckStatus"} {
			all = append(all, Refused{name + " to " + path, Request{Path: path, Header: append(lines, jsonType), Body: good}, status})
		}
	}
	add("D7 no run UUID", http.StatusBadRequest)
	add("header with underscores", http.StatusBadRequest, "kh_run_uuid: "+UUID)
	add("two run UUIDs", http.StatusBadRequest, identity, "kh-run-uuid: 00000000-0000-4000-8000-000000000000")
	add("an empty run UUID and one", http.StatusBadRequest, "kh-run-uuid:", identity)
	add("control character", http.StatusBadRequest, "kh-run-uuid: \x01"+UUID)
	add("2 MiB of header", http.StatusRequestHeaderFieldsTooLarge, "kh-run-uuid: "+strings.Repeat("a", 2<<20))
	for name, value := range map[string]string{
		"empty run UUID": "", "blank run UUID": " \t ", "D7 unknown run": "00000000-0000-4000-8000-000000000000",
		"D7 no UUID": "test-UUID-1234", "label selector": UUID + ",app=kuberhealthy", "cron workflow": "khcheck/ns/dns", "job workflow": "khjob/ns/smoke/4b3626f183",
		"wildcard": "*", "path": "../" + UUID, "URN": "urn:uuid:" + UUID, "URN in capitals": "URN:UUID:" + UUID, "braces": "{" + UUID + "}",
		"parentheses": "(" + UUID + ")", "quotes": `"` + UUID + `"`, "no dashes": "3c8f1f6e52b74d0a9a417be0d2f5c913", "too long": UUID + "0",
		"too short": "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c91", "no hex": "3c8f1f6e-52b7-4d0a-9a41-7be0d2f5c91g", "two in one": UUID + ", " + UUID,
		"blank within": "3c8f1f6e-52b7-4d0a-9a41 -7be0d2f5c913", "not ASCII": UUID + "\xe9", "nil UUID": "00000000-0000-0000-0000-000000000000",
		"10 KB": strings.Repeat("a", 10_000), "500 KB": strings.Repeat("3c8f1f6e-", 55_000),
	} {
		add(name, http.StatusBadRequest, "kh-run-uuid: "+value)
	}
	return all
}

// unsupported are good reports in a way that is not taken.
func unsupported() []Refused {
	var all []Refused
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	_, _ = writer.Write([]byte(good)) // a buffer takes all
	_ = writer.Close()
	for _, path := range []string{"/check", "/externalCheckStatus"} {
		for _, encoding := range []string{"gzip", "GZIP", "br", "deflate", "gzip, identity"} {
			header := []string{identity, jsonType, "Content-Encoding: " + encoding}
			all = append(all, Refused{encoding + " to " + path, Request{Path: path, Header: header, Body: zipped.String()}, http.StatusUnsupportedMediaType})
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "REPORT", "post"} {
			all = append(all, Refused{method + " " + path, Request{Method: method, Path: path, Body: good}, http.StatusMethodNotAllowed})
		}
		all = append(all, Refused{"OPTIONS " + path, Request{Method: "OPTIONS", Path: path, Body: good}, http.StatusNoContent})
	}
	all = append(all, Refused{"gzip that is not announced", Request{Body: zipped.String()}, http.StatusBadRequest})
	for _, path := range []string{"/externalCheckStatus/", "/externalcheckstatus", "/check/", "/check/x", "//check", "/Check", "/check%20"} {
		all = append(all, Refused{"path " + path, Request{Path: path, Body: good}, http.StatusNotFound})
	}
	return all
}

// misframed are requests whose body does not end as it should, or never comes.
func misframed() []Refused {
	framed := func(name, raw string) Refused {
		return Refused{name, Request{Raw: raw, Hangup: true}, http.StatusBadRequest}
	}
	return []Refused{
		framed("neither length nor chunks", "\r\n"),
		framed("shorter than announced", "Content-Length: 100\r\n\r\n"+good),
		framed("longer than announced", "Content-Length: 5\r\n\r\n"+good),
		framed("two lengths", "Content-Length: 23\r\nContent-Length: 24\r\n\r\n"+good),
		framed("length below zero", "Content-Length: -1\r\n\r\n"+good),
		framed("length that is no number", "Content-Length: many\r\n\r\n"+good),
		framed("chunk of no size", "Transfer-Encoding: chunked\r\n\r\nx\r\n"+good+"\r\n0\r\n\r\n"),
		framed("chunk too short", "Transfer-Encoding: chunked\r\n\r\n5\r\n"+good+"\r\n0\r\n\r\n"),
		framed("chunk of 16 EiB", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"+good),
		framed("chunks without an end", "Transfer-Encoding: chunked\r\n\r\n17\r\n"+good+"\r\n"),
		framed("no chunk", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		{"expectation that is unknown", Request{Raw: "Expect: a-miracle\r\nContent-Length: 23\r\n\r\n" + good}, http.StatusExpectationFailed},
		{"HTTP/1.0 without a length", Request{Proto: "HTTP/1.0", Raw: "\r\n" + good}, http.StatusBadRequest},
		{"HTTP/1.1 in lower case", Request{Proto: "http/1.1", Body: good}, http.StatusBadRequest},
		{"a line that is no header", Request{Header: []string{identity, "this is no header"}, Body: good}, http.StatusBadRequest},
		{"second host", Request{Header: []string{identity, jsonType, "Host: other"}, Body: good}, http.StatusBadRequest},
	}
}

// NotHTTP are requests to which HTTP itself gives an answer of 500 and above: the server does not speak what they are in.
func NotHTTP() []Refused {
	return []Refused{
		{"unknown transfer coding", Request{Raw: "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"}, http.StatusNotImplemented},
		{"HTTP/3.0", Request{Proto: "HTTP/3.0", Body: good}, http.StatusHTTPVersionNotSupported},
	}
}
