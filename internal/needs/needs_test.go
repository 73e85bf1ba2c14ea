package needs_test

import (
	"testing"

	"github.com/khronicle/khronicle/internal/needs"
)

// recorder notes how a test would end.
type recorder struct {
	testing.TB

	failed, skipped bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic(r) }
func (r *recorder) Skipf(string, ...any)  { r.skipped = true; panic(r) }

func TestMissing(t *testing.T) {
	for value, wantFailed := range map[string]bool{"": false, "0": false, "1": true} {
		t.Setenv(needs.RequireAll, value)
		r := &recorder{}
		func() {
			defer func() { _ = recover() }() // the test would have ended there
			needs.Missing(r, "no %s", "tool")
		}()
		if r.failed != wantFailed || r.skipped == wantFailed {
			t.Errorf("%s=%q: failed is %t, skipped is %t, want failed to be %t", needs.RequireAll, value, r.failed, r.skipped, wantFailed)
		}
	}
}
