package verb

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/khronicle/khronicle/external/apiclient"
)

func TestExitCodes(t *testing.T) {
	plain := errors.New("broken\x1b[31m")
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"nothing wrong", nil, 0},
		{"an error of the command line", plain, ExitUsage},
		{"usage", usagef("--id: is empty"), ExitUsage},
		{"a failed check", fmt.Errorf("wait: %w", failedf("it failed")), ExitFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stderr bytes.Buffer
			if got := Exit(&stderr, "khronicle", tt.err); got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
			if (tt.err == nil) != (stderr.Len() == 0) || strings.Contains(stderr.String(), "\x1b") {
				t.Errorf("stderr is %q", stderr.String())
			}
		})
	}
}

func TestACommandGivesItsErrorsACode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{{errors.New("unreadable"), ExitUnknown}, {usagef("wrong"), ExitUsage}, {failedf("failed"), ExitFailed}, {nil, 0}} {
		command := WithCode(ExitUnknown, &cobra.Command{RunE: func(*cobra.Command, []string) error { return tt.err }})
		if got := Exit(&bytes.Buffer{}, "khronicle", command.RunE(command, nil)); got != tt.want {
			t.Errorf("%v: exit code %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestOnlyErrorsThatCannotEndArePermanent(t *testing.T) {
	checks := schema.GroupResource{Resource: "khchecks"}
	tests := []struct {
		name string
		err  error
		want bool
	}{
		{"no error", nil, false},
		{"a lost connection", errors.New("connection refused"), false},
		{"no such check", fmt.Errorf("check: %w", apierrors.NewNotFound(checks, "cart")), true},
		{"not allowed", apierrors.NewForbidden(checks, "cart", nil), true},
		{"a conflict", apierrors.NewConflict(checks, "cart", nil), false},
		{"too many requests", apierrors.NewTooManyRequests("later", 1), false},
		{"a server error", apierrors.NewInternalError(errors.New("etcd")), false},
		{"a wrong parameter", &apiclient.Problem{Status: http.StatusBadRequest}, true},
		{"no ledger", &apiclient.Problem{Status: http.StatusServiceUnavailable}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := permanent(tt.err); got != tt.want {
				t.Errorf("permanent is %t, want %t", got, tt.want)
			}
		})
	}
}

func TestTimesAreAbsoluteOrAgo(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"24h": noon.Add(-24 * time.Hour), "0s": noon, "2026-11-22T10:00:00Z": noon.Add(-2 * time.Hour), "2026-11-22T11:00:00+01:00": noon.Add(-2 * time.Hour),
	} {
		if got, err := timeOf("--since", text, noon); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, error %v, want %s", text, got, err, want)
		}
	}
	if got, err := timeOf("--since", "", noon); got != nil || err != nil {
		t.Errorf("nothing is %v, error %v", got, err)
	}
	for _, text := range []string{"yesterday", "-1h", "2026-11-22"} {
		if _, err := timeOf("--since", text, noon); err == nil || !strings.HasPrefix(err.Error(), "--since: ") {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestTextsOfOthersCannotBreakATable(t *testing.T) {
	hostile := "a\tb\x1b[31m\u202e\nsecond" + strings.Repeat("x", 300)
	l := checkList([]apiclient.Check{{Namespace: "shop", Name: "pay", State: apiclient.StateFailing, Errors: []string{hostile, "b"}}}, true, time.Now())
	var out bytes.Buffer
	if err := l.table(&out, true, true); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2 || strings.ContainsAny(out.String(), "\x1b\u202e\t") || !strings.Contains(out.String(), `a b\x1b[31m\u202e (+1)`) {
		t.Errorf("table is %q", out.String())
	}
}

func TestJUnitIsXMLWhateverTheErrorsAre(t *testing.T) {
	l := checkList([]apiclient.Check{
		{Name: "a", State: apiclient.StateFailing, Errors: []string{"</failure>\x00\xff"}},
		{Name: "b", State: apiclient.StateHealthy},
		{Name: "c", State: apiclient.StateUnknown},
		{Name: "d", State: apiclient.StatePaused},
	}, false, time.Now())
	var out bytes.Buffer
	o := output{format: "junit"}
	if err := o.print(&out, l); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, `tests="4" failures="1" errors="1" skipped="1"`) || !strings.Contains(got, "&lt;/failure&gt;\uFFFD") || strings.Contains(got, "\x00") {
		t.Errorf("document is %s", got)
	}
}
