// Package ledgertest starts a real PostgreSQL server for tests of what uses the ledger. It is no part of the product.
package ledgertest

import (
	"errors"
	"testing"

	"github.com/khronicle/khronicle/internal/needs"
)

// ErrNotInstalled is the error of a machine without a PostgreSQL server.
var ErrNotInstalled = errors.New("no PostgreSQL server under /usr/lib/postgresql (Debian package postgresql)")

// Need returns the server. Where PostgreSQL is not installed, the test is skipped, or fails as package needs says.
func Need(t testing.TB, p *Postgres, err error) *Postgres {
	t.Helper()
	if errors.Is(err, ErrNotInstalled) {
		needs.Missing(t, "%v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}
