package influx_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	protocol "github.com/influxdata/line-protocol"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/influx"
)

var (
	dns       = check.Ref{Kind: khv1.KHCheck, Namespace: "kube-system", Name: "dns", UID: "u-1", Generation: 3}
	concluded = time.Date(2026, 11, 22, 12, 0, 3, 250_000_000, time.UTC)
)

// reported is the outcome of a run whose check reported those errors after 3.25 seconds.
func reported(errors ...string) check.Conclusion {
	conclusion := check.Conclusion{
		Outcome: check.Succeeded, Errors: errors, Reported: true, Node: "node-1", Started: concluded.Add(-3250 * time.Millisecond), Concluded: concluded,
	}
	if len(errors) > 0 {
		conclusion.Outcome = check.Failed
	}
	return conclusion
}

func timedOut() check.Conclusion {
	conclusion := check.NoReport(check.Observation{}).Conclude(dns)
	conclusion.Started, conclusion.Concluded = concluded.Add(-time.Minute), concluded
	return conclusion
}

func TestLines(t *testing.T) {
	const at = " 1795348803250000000\n"
	tests := []struct {
		name       string
		ref        check.Ref
		conclusion check.Conclusion
		want       string
	}{
		{
			"passed", dns, reported(),
			"dns.kube-system,Name=dns,Namespace=kube-system value=1i" + at +
				"RunDuration.dns.kube-system,Name=dns,Namespace=kube-system value=3.25" + at,
		},
		{
			"failed", dns, reported("no answer", "slow"),
			`dns.kube-system,Errors=no\ answer\,slow,Name=dns,Namespace=kube-system value=0i` + at +
				`RunDuration.dns.kube-system,Errors=no\ answer\,slow,Name=dns,Namespace=kube-system value=3.25` + at,
		},
		{
			"timed out", dns, timedOut(),
			`dns.kube-system,Errors=Check\ execution\ error:\ kube-system/dns:\ timed\ out\ waiting\ for\ checker\ pod\ to\ report\ in,` +
				"Name=dns,Namespace=kube-system value=0i" + at,
		},
		{
			"of a job",
			check.Ref{Kind: khv1.KHJob, Namespace: "shop", Name: "smoke"},
			reported(),
			"smoke.shop,Name=smoke,Namespace=shop value=1i" + at + "RunDuration.smoke.shop,Name=smoke,Namespace=shop value=3.25" + at,
		},
		{
			"blanks in the name",
			check.Ref{Namespace: "shop", Name: "dns status check"},
			reported(),
			`dns_status_check.shop,Name=dns\ status\ check,Namespace=shop value=1i` + at +
				`RunDuration.dns_status_check.shop,Name=dns\ status\ check,Namespace=shop value=3.25` + at,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, influx.Lines(tt.ref, tt.conclusion)); diff != "" {
				t.Errorf("lines differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever a check says, the lines have the same two points, and its words as far as a tag can hold them.
func TestLinesCarryAnyError(t *testing.T) {
	tests := []struct {
		name   string
		errors []string
		want   string
	}{
		{"line breaks", []string{"a\nother value=1i\r\n\tb"}, "a other value=1i   b"},
		{"what the protocol escapes", []string{`a b,c=d "e"`}, `a b,c=d "e"`},
		{"backslashes", []string{`C:\ new`, `\`}, "C:/ new,/"},
		{"not UTF-8", []string{"a\xff"}, "a\uFFFD"},
		{"zero byte", []string{"a\x00b"}, "a b"},
		{"non-ASCII", []string{"größer als 5 €: 不行"}, "größer als 5 €: 不行"},
		{"nothing but blanks", []string{" "}, " "},
		{"hash", []string{"# comment"}, "# comment"},
		{"long", []string{strings.Repeat("€,", 100_000)}, strings.Repeat("€,", 1024)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := influx.Lines(dns, reported(tt.errors...))
			points, err := protocol.NewParser(protocol.NewMetricHandler()).Parse([]byte(text))
			if err != nil || len(points) != 2 || strings.Count(text, "\n") != 2 {
				t.Fatalf("%d points, error %v, of\n%.500s", len(points), err, text)
			}
			for _, point := range points {
				tags := map[string]string{}
				for _, tag := range point.TagList() {
					tags[tag.Key] = tag.Value
				}
				want := map[string]string{"Name": "dns", "Namespace": "kube-system", "Errors": tt.want}
				if diff := cmp.Diff(want, tags); diff != "" || len(point.FieldList()) != 1 || !point.Time().Equal(concluded) {
					t.Errorf("%d fields at %s; tags differ (-want +got):\n%.500s", len(point.FieldList()), point.Time(), diff)
				}
			}
		})
	}
}

func FuzzLines(f *testing.F) {
	for _, seed := range []string{"", "a", `\`, `a\ b\,c\=`, "a\nb", "\xff\xfe", "a=b,c d", "\u2028\u0085", "#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := influx.Lines(dns, reported(text))
		points, err := protocol.NewParser(protocol.NewMetricHandler()).Parse([]byte(got))
		if err != nil || len(points) != 2 || !utf8.ValidString(got) {
			t.Errorf("%q gives %d points, error %v, of %q", text, len(points), err, got)
		}
	})
}
