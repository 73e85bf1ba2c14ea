package ledger_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
)

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
				if err := errors.Join(l.Finish(t.Context(), record("dns", time.Duration(i)*time.Minute, check.Succeeded)), l.Close()); err != nil {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		if f := verify(t, open(t, dsn)); f.Records != 12 {
			t.Errorf("%d records, want 12", f.Records)
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
