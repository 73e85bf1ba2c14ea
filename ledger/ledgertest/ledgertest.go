// Package ledgertest starts a real PostgreSQL server, and fills ledgers, for tests of what uses the ledger. It is no part of the product.
package ledgertest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/khronicle/khronicle/internal/needs"
	"github.com/khronicle/khronicle/ledger"
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

// Fill stores records, many at once, so that the ledger writes them in large batches.
func Fill(t testing.TB, l *ledger.Ledger, records []ledger.Record) {
	t.Helper()
	queue := make(chan ledger.Record)
	var group sync.WaitGroup
	for range 256 {
		group.Go(func() {
			for r := range queue {
				if err := l.Finish(context.Background(), r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, r := range records {
		queue <- r
	}
	close(queue)
	group.Wait()
}
