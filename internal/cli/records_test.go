package cli_test

import (
	"testing"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/internal/cli"
	"github.com/khronicle/khronicle/ledger"
)

func TestOutcomeText(t *testing.T) {
	for want, a := range map[string]ledger.Record{
		"running":   {Attempts: 2, InfraFailures: 1},
		"succeeded": {Outcome: check.Succeeded, Attempts: 1},
		"succeeded (flaky, 3 attempts, infrastructure failures: 1)": {Outcome: check.Succeeded, Flaky: true, Attempts: 3, InfraFailures: 1},
		"failed (2 attempts)": {Outcome: check.Failed, Attempts: 2},
		"succeeded (flaky)":   {Outcome: check.Succeeded, Flaky: true, Attempts: 1},
		"infra-failed":        {Outcome: check.InfraFailed, Attempts: 1, InfraFailures: 1},
		"infra-failed (2 attempts, infrastructure failures: 2)": {Outcome: check.InfraFailed, Attempts: 2, InfraFailures: 2},
		"missed": {Outcome: check.Missed},
	} {
		if got := cli.OutcomeText(a); got != want {
			t.Errorf("%+v is %q, want %q", a, got, want)
		}
	}
}
