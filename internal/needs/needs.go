// Package needs says what happens to a test that needs something which the machine does not have. It is for tests alone.
package needs

import (
	"os"
	"testing"
)

// RequireAll is the variable that makes a missing tool a failure, set to 1 by `make test`: there, no test may be skipped.
const RequireAll = "KHRONICLE_REQUIRE_ALL"

// Missing skips a test because something is missing, or fails it where RequireAll is set.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(RequireAll) == "1" {
		t.Fatalf(format+" ("+RequireAll+" is set)", args...)
	}
	t.Skipf(format, args...)
}
