package ledger_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/khronicle/khronicle/ledger"
)

func TestMigratesFromVersion1(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		a := account("dns", 0, ledger.Failed)
		old, err := ledger.OpenAt(t.Context(), dsn, ledger.Options{}, 1)
		must(t, err)
		must(t, old.Finish(t.Context(), a))
		if err := old.PutEvidence(t.Context(), a.Key, ledger.Evidence{Kind: "log"}); err == nil {
			t.Error("version 1 has no evidence, but took some")
		}
		must(t, old.Close())
		l := open(t, dsn)
		wantTicks(t, l, "dns", a)
		must(t, l.PutEvidence(t.Context(), a.Key, ledger.Evidence{Kind: "log"}))
		verify(t, l)
	})
}

func TestManyOpenANewDatabaseAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		var waiting sync.WaitGroup
		for i := range 12 {
			waiting.Go(func() {
				l, err := ledger.Open(t.Context(), dsn, ledger.Options{MaxConns: 2})
				if err != nil {
					t.Error(err)
					return
				}
				if err := errors.Join(l.Finish(t.Context(), account("dns", time.Duration(i)*time.Minute, ledger.Succeeded)), l.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		if f := verify(t, open(t, dsn)); f.Accounts != 12 {
			t.Errorf("%d accounts, want 12", f.Accounts)
		}
	})
}

func TestANewerSchemaIsLeftAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		must(t, ledger.Exec(t.Context(), open(t, dsn), `INSERT INTO schema_version (version) VALUES (99)`))
		if _, err := ledger.Open(t.Context(), dsn, ledger.Options{}); !errors.Is(err, ledger.ErrNewerSchema) {
			t.Errorf("error is %v, want ErrNewerSchema", err)
		}
	})
}
