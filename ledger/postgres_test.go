package ledger_test

import (
	"net/url"
	"testing"

	"github.com/khronicle/khronicle/ledger"
)

// Who connects, and by which password, may be in the variables of libpq and need not be in the name.
func TestPostgresReadsItsVariables(t *testing.T) {
	address, err := url.Parse(postgresDSN(t))
	must(t, err)
	query := address.Query()
	user := query.Get("user")
	query.Del("user")
	address.RawQuery = query.Encode()
	t.Setenv("PGUSER", user)
	must(t, open(t, address.String()).Ping(t.Context()))
	t.Setenv("PGUSER", "nobody-of-this-name")
	if l, err := ledger.Open(t.Context(), address.String(), ledger.Options{}); err == nil {
		t.Error("a user that the server does not know was let in")
		must(t, l.Close())
	}
}
