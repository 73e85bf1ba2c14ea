package ledger_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/khronicle/khronicle/internal/needs"
	"github.com/khronicle/khronicle/ledger"
)

// The user and the password may be in the variables of libpq. They need not be in the name.
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

// The database was vacuumed while it was empty, so the server knows that reading whole tables costs nothing. When the
// tables grow, writers still use keys.
func TestWritersGoByKeysInAGrowingDatabase(t *testing.T) {
	dsn := postgresDSN(t)
	l, err := ledger.Open(t.Context(), dsn, ledger.Options{})
	must(t, err)
	must(t, ledger.Settle(t.Context(), l))
	must(t, ledger.Load(t.Context(), l, history("dns", 100*time.Hour, time.Minute)))
	must(t, ledger.Load(t.Context(), l, history("web", 20*time.Hour, time.Minute)))
	must(t, l.Close()) // its connections report what they did when they end
	again := open(t, dsn)
	for end := time.Now().Add(10 * time.Second); ; {
		read, err := ledger.Query(t.Context(), again,
			`SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'records' AND n_tup_ins >= 7200`)
		must(t, err)
		if len(read) == 1 {
			if read[0] != "0" {
				t.Errorf("%s records were read on the way, want none", read[0])
			}
			return
		}
		if time.Now().After(end) {
			t.Fatal("the server does not say what was read")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// The setting makes the server believe that a statement without a key is very expensive. Without the other setting, it
// would compile this statement each time.
func TestWritersCompileNothing(t *testing.T) {
	l := open(t, postgresDSN(t))
	can, err := ledger.Query(t.Context(), l, `SELECT pg_jit_available()::text`)
	must(t, err)
	if can[0] != "true" {
		needs.Missing(t, "this server cannot compile statements")
	}
	plan, err := ledger.ExplainWrite(t.Context(), l, `UPDATE totals SET records = records + 1`)
	must(t, err)
	if text := strings.Join(plan, "\n"); !strings.Contains(text, "Seq Scan") || strings.Contains(text, "JIT") {
		t.Errorf("the row without a key is updated by this plan, want one that reads it and compiles nothing:\n%s", text)
	}
}
