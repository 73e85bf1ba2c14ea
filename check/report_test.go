package check_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/status"
	"github.com/khronicle/khronicle/test/wire"
)

func TestParseReport(t *testing.T) {
	ok := status.Report{OK: true, Errors: []string{}}
	failed := func(errors ...string) status.Report { return status.Report{Errors: errors} }
	tests := []struct {
		name, body string
		want       status.Report
	}{
		{"Go client of v2", `{"Errors":[],"OK":true}`, ok},
		{"Go client of v2, failed", `{"Errors":["a","b"],"OK":false}`, failed("a", "b")},
		{"Go client of v3", `{"ok":true,"currentUUID":""}`, ok},
		{"Go client of v3, failed", `{"ok":false,"errors":["a","b"],"currentUUID":""}`, failed("a", "b")},
		{"null errors", `{"Errors":null,"OK":true}`, ok},
		{"no errors", `{"OK":true}`, ok},
		{"no OK is not OK", `{"Errors":["a"]}`, failed("a")},
		{"null OK is not OK", `{"OK":null,"Errors":["a"]}`, failed("a")},
		{"keys of any case", `{"oK":false,"eRRORS":["a"]}`, failed("a")},
		{"further keys", `{"OK":true,"Node":{"x":[1,{}]},"Namespace":"n"}`, ok},
		{"white space", " \n{ \"OK\" : true }\r\n", ok},
		{"a blank is a text", `{"OK":false,"Errors":[" "]}`, failed(" ")},
		{"escapes", `{"OK":false,"Errors":["a\n\"\\\u00e9"]}`, failed("a\n\"\\é")},
		{"invalid UTF-8 is replaced", "{\"OK\":false,\"Errors\":[\"a\xff\"]}", failed("a\uFFFD")},
		{"zero bytes are replaced", `{"OK":false,"Errors":["\u0000","a\u0000b"]}`, failed("\uFFFD", "a\uFFFDb")},
		{"of a key that comes twice the last counts", `{"Errors":["a","b"],"errors":["c"],"OK":true,"ok":false}`, failed("c")},
		{"the last may take all back", `{"Errors":["a","b"],"OK":true,"Errors":[]}`, ok},
		{"as deep as JSON may be", `{"OK":true,"x":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`, ok},
		{"half a surrogate pair is replaced", `{"OK":false,"Errors":["\ud800"]}`, failed("\uFFFD")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := check.ParseReport([]byte(tt.body))
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("report differs (-want +got):\n%s", diff)
			}
		})
	}
}

// refusals are all reasons to refuse a report.
var refusals = []error{check.ErrReportMalformed, check.ErrReportWithErrors, check.ErrReportWithoutError, check.ErrReportBlankError}

func TestParseReportRefuses(t *testing.T) {
	tests := []struct {
		name, body string
		want       error
	}{
		{"nothing", ``, check.ErrReportMalformed},
		{"no JSON", `OK`, check.ErrReportMalformed},
		{"broken JSON", `{"OK":true`, check.ErrReportMalformed},
		{"two documents", `{"OK":true}{"OK":true}`, check.ErrReportMalformed},
		{"a byte order mark", "\uFEFF" + `{"OK":true}`, check.ErrReportMalformed},
		{"null", `null`, check.ErrReportMalformed},
		{"an array", `[{"OK":true}]`, check.ErrReportMalformed},
		{"a text", `"OK"`, check.ErrReportMalformed},
		{"an empty object", `{}`, check.ErrReportMalformed},
		{"neither key", `{"Okay":true,"Error":"a"}`, check.ErrReportMalformed},
		{"nulls", `{"OK":null,"Errors":null}`, check.ErrReportMalformed},
		{"OK is a text", `{"OK":"yes"}`, check.ErrReportMalformed},
		{"OK is a number", `{"OK":1,"Errors":[]}`, check.ErrReportMalformed},
		{"Errors is a text", `{"OK":false,"Errors":"a"}`, check.ErrReportMalformed},
		{"Errors has a number", `{"OK":false,"Errors":[1]}`, check.ErrReportMalformed},
		{"very deep", `{"OK":` + strings.Repeat("[", 20000) + `}`, check.ErrReportMalformed},
		{"OK with errors", `{"OK":true,"Errors":["a"]}`, check.ErrReportWithErrors},
		{"not OK without errors", `{"OK":false}`, check.ErrReportWithoutError},
		{"not OK with no errors", `{"OK":false,"Errors":[]}`, check.ErrReportWithoutError},
		{"no OK and no errors", `{"Errors":[]}`, check.ErrReportWithoutError},
		{"an empty error", `{"OK":false,"Errors":["a",""]}`, check.ErrReportBlankError},
		{"an error that is null", `{"OK":false,"Errors":[null]}`, check.ErrReportBlankError},
		// Go's decoder leaves the previous value in place when it reads a null.
		{"a null where an earlier list had a text", `{"OK":false,"Errors":["a","b"],"Errors":[null,"c"]}`, check.ErrReportBlankError},
		{"a null after an earlier OK", `{"OK":true,"OK":null}`, check.ErrReportMalformed},
		{"OK with an empty error", `{"OK":true,"Errors":[""]}`, check.ErrReportBlankError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := check.ParseReport([]byte(tt.body))
			for _, sentinel := range refusals {
				if errors.Is(err, sentinel) != errors.Is(tt.want, sentinel) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
		})
	}
}

// FuzzParseReport: every body is either refused or gives a report that can be stored. The report is the same whenever it is
// read again.
func FuzzParseReport(f *testing.F) {
	for _, body := range wire.Seeds() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		report, err := check.ParseReport(body)
		if err != nil {
			if !slices.ContainsFunc(refusals, func(refusal error) bool { return errors.Is(err, refusal) }) {
				t.Errorf("refused with %v, which is answered as Khronicle's own trouble", err)
			}
			return
		}
		if report.Errors == nil {
			t.Error("the list of errors is nil: it would be stored as null, which the API server refuses")
		}
		if report.OK != (len(report.Errors) == 0) {
			t.Errorf("OK is %t with %d errors", report.OK, len(report.Errors))
		}
		if slices.Contains(report.Errors, "") {
			t.Error("there is an empty error text")
		}
		for _, text := range report.Errors {
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
				t.Errorf("%q is not UTF-8 without zero bytes", text)
			}
		}
		encoded, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		again, err := check.ParseReport(encoded)
		if diff := cmp.Diff(report, again); err != nil || diff != "" {
			t.Errorf("sent on, it is another report: %v (-want +got):\n%s", err, diff)
		}
	})
}

func TestAddReport(t *testing.T) {
	failed := func(errors ...string) status.Report { return status.NewReport(errors) }
	ok := failed()
	long := strings.Repeat("x", check.MaxEvidence)
	tests := []struct {
		name                 string
		first, further, want status.Report
		adds                 bool
	}{
		{"a second success", ok, ok, ok, false},
		{"failure after a success", ok, failed("b"), failed("b"), true},
		{"a long failure after a success", ok, failed(long, "b"), failed(long, "b"), true},
		{"success after a failure", failed("a"), ok, failed("a"), false},
		{"the same failure again", failed("a", "b"), failed("a", "b"), failed("a", "b"), false},
		{"another failure", failed("a"), failed("b", "a", "c"), failed("a", "b", "c"), true},
		{"as many errors as fit", failed("a"), failed("b", long, "c"), failed("a", "b"), true},
		{"no room for further errors", failed(long), failed("b"), failed(long), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, adds := check.AddReport(tt.first, tt.further)
			if diff := cmp.Diff(tt.want, got); diff != "" || adds != tt.adds {
				t.Errorf("adds: %t, want %t; report (-want +got):\n%s", adds, tt.adds, diff)
			}
		})
	}
}

// The report that counts is stored elsewhere too, so adding to it must not change it.
func TestAddReportLeavesItsInputAlone(t *testing.T) {
	first := status.Report{Errors: append(make([]string, 0, 8), "a")}
	check.AddReport(first, status.NewReport([]string{"b"}))
	if spare := first.Errors[:2][1]; spare != "" {
		t.Errorf("%q was written behind the errors of the first report", spare)
	}
}
