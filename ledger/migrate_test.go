package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/ledger"
)

// oldRows are what versions 1 and 2 wrote of a failed run, of a tick that was missed and of an open run.
const oldRows = `INSERT INTO checks (uid, kind, namespace, name) VALUES ('uid-dns', 'KHCheck', 'ns', 'dns');
INSERT INTO words (word) VALUES ('node-1');
INSERT INTO accounts (check_id, nominal, cause, outcome, flaky, revision, attempts, due_after, started_after, reported_after,
    judged_after, recorded_after, duration, node, workflow_id, errors)
VALUES (1, 1772366400000000, 0, 2, 0, 0, 2, 0, 40000, 2040000, 2050000, 4000000, 2000000, 1, {{blob}}, '["no answer"]');
INSERT INTO accounts (check_id, nominal, cause, outcome, flaky, revision, attempts, due_after, recorded_after)
VALUES (1, 1772366460000000, 0, 7, 0, 0, 0, 0, 4000000);
INSERT INTO accounts (check_id, nominal, cause, outcome, flaky, revision, attempts, due_after, workflow_id)
VALUES (1, 1772366520000000, 0, 0, 0, 0, 1, 0, {{blob}});
INSERT INTO hourly SELECT 1772366400000000, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 2000000, 2000000;
INSERT INTO daily SELECT 1772323200000000, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 2000000, 2000000;
UPDATE totals SET accounts = 3;`

// A database of each version before this one is brought up to date where it is, and goes on.
func TestMigratesOldDatabases(t *testing.T) {
	const run = "0a1b2c3d-0000-4000-8000-000000000001"
	failed := ledger.Account{
		Key:  ledger.Key{CheckUID: "uid-dns", Trigger: ledger.Scheduled, Nominal: noon},
		Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", Outcome: ledger.Failed, Due: noon, Started: noon.Add(40 * time.Millisecond),
		Reported: noon.Add(2040 * time.Millisecond), Judged: noon.Add(2050 * time.Millisecond), Recorded: noon.Add(4 * time.Second),
		Attempts: 2, Node: "node-1", WorkflowID: run, Errors: []string{"no answer"},
	}
	missed := missedTick(failed)
	missed.Nominal, missed.Due, missed.Recorded = noon.Add(time.Minute), noon.Add(time.Minute), noon.Add(64*time.Second)
	running := ledger.Account{
		Key: failed.Key, Kind: khv1.KHCheck, Namespace: "ns", Name: "dns", Due: noon.Add(2 * time.Minute), Attempts: 1, WorkflowID: run,
	}
	running.Nominal = running.Due
	for version := 1; version < ledger.Migrations(); version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			onBoth(t, func(t *testing.T, dsn string) {
				old, err := ledger.OpenAt(t.Context(), dsn, ledger.Options{}, version)
				must(t, err)
				blob := "X'010a1b2c3d000040008000000000000001'"
				if strings.HasPrefix(dsn, "postgres:") {
					blob = `'\x010a1b2c3d000040008000000000000001'::bytea`
				}
				must(t, ledger.Exec(t.Context(), old, strings.ReplaceAll(oldRows, "{{blob}}", blob)))
				must(t, old.Close())
				l := open(t, dsn)
				wantTicks(t, l, "dns", failed, missed, running)
				verify(t, l)
				if a, ok, err := l.LastFault(t.Context(), ref("dns")); err != nil || !ok || !a.Nominal.Equal(noon) {
					t.Errorf("the last fault is %+v, %t, %v, want the failed one", a, ok, err)
				}
				amended := failed
				amended.Outcome, amended.Revision, amended.InfraFailures = ledger.Succeeded, 1, 1
				must(t, l.Finish(t.Context(), amended))
				must(t, l.PutEvidence(t.Context(), failed.Key, ledger.Evidence{Kind: "log"}))
				wantTicks(t, l, "dns", amended, missed, running)
				verify(t, l)
			})
		})
	}
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
