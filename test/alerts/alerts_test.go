// Package alerts_test reads deploy/prometheus/rules.yaml as Prometheus does, and evaluates the rules. It is a module of its
// own, so that Khronicle does not depend on Prometheus's server.
package alerts_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
)

// rules returns the alerts by name. What Prometheus would not take fails the test.
func rules(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile("../../deploy/prometheus/rules.yaml", false, model.UTF8Validation,
		parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	all := map[string]rulefmt.Rule{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if _, twice := all[rule.Alert]; twice {
				t.Errorf("there are two alerts %s", rule.Alert)
			}
			all[rule.Alert] = rule
		}
	}
	return all
}

func TestAlertsSayHowBadAndWhat(t *testing.T) {
	for name, rule := range rules(t) {
		if !slices.Contains([]string{"critical", "warning", "info"}, rule.Labels["severity"]) {
			t.Errorf("%s: severity is %q", name, rule.Labels["severity"])
		}
		for _, annotation := range []string{"summary", "description"} {
			if rule.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", name, annotation)
			}
		}
	}
}

// Runs that the platform did not let happen say nothing of what is checked.
func TestAFailingCheckIsWorseThanARunThatCouldNotBe(t *testing.T) {
	all := rules(t)
	if failing, infra := all["KhronicleCheckFailing"].Labels["severity"], all["KhronicleRunsInfraFailed"].Labels["severity"]; failing != "critical" || infra != "warning" {
		t.Errorf("failing is %s, infra-failed is %s", failing, infra)
	}
}

// Each case loads series that have a value a minute from 0 on, and evaluates one expression.
func TestAlertsFire(t *testing.T) {
	const infra = `khronicle_runs_total{check="ns/dns",workload="KHCheck",outcome="infra-failed",instance="w-1"}`
	const missed = `khronicle_ticks_without_run_total{check="ns/dns",workload="KHCheck",outcome="missed",instance="w-1"}`
	const skipped = `khronicle_ticks_without_run_total{check="ns/dns",workload="KHCheck",outcome="skipped",instance="w-1"}`
	const spoiled = `khronicle_infra_failed_attempts_total{check="ns/dns",workload="KHCheck",instance="w-1"}`
	const flaky = `khronicle_flaky_runs_total{check="ns/dns",workload="KHCheck",instance="w-1"}`
	const stuck = `temporal_workflow_task_execution_failed_total{instance="w-1",workflow_type="CheckRun"}`
	const began = `process_start_time_seconds{instance="w-1"}`
	tests := []struct {
		name, alert, series string
		minute              int
		want                []string
	}{
		{"one of two checks fails", "KhronicleCheckFailing", `
			kuberhealthy_check{check="ns/dns",status="0",error="down"} 0x10
			kuberhealthy_check{check="ns/web",status="1",error=""} 1x10
			khronicle_check_unknown{check="ns/dns",workload="KHCheck"} 0x10`, 5, []string{`{check="ns/dns"}`}},
		{"its text has changed", "KhronicleCheckFailing", `
			kuberhealthy_check{check="ns/dns",status="0",error="down at 12:00"} 0x3 stale
			kuberhealthy_check{check="ns/dns",status="0",error="down at 12:04"} _x4 0x6`, 5, []string{`{check="ns/dns"}`}},
		{"two report APIs tell of it", "KhronicleCheckFailing", `
			kuberhealthy_check{check="ns/dns",status="0",instance="r-1"} 0x10
			kuberhealthy_check{check="ns/dns",status="0",instance="r-2"} 0x10`, 5, []string{`{check="ns/dns"}`}},
		{"it is unknown, which is another alert", "KhronicleCheckFailing", `
			kuberhealthy_check{check="ns/dns",status="0"} 0x10
			khronicle_check_unknown{check="ns/dns",workload="KHCheck"} 1x10`, 5, nil},
		{"unknown", "KhronicleCheckUnknown", `
			khronicle_check_unknown{check="ns/dns",workload="KHCheck",instance="r-1"} 1x10
			khronicle_check_unknown{check="ns/web",workload="KHCheck",instance="r-1"} 0x10`, 5, []string{`{check="ns/dns", workload="KHCheck"}`}},
		{"a job failed, and a check of its name is fine", "KhronicleJobFailed", `
			kuberhealthy_job{check="ns/once",status="0"} 0x10
			khronicle_check_unknown{check="ns/once",workload="KHCheck"} 1x10`, 5, []string{`{check="ns/once"}`}},
		{"the very first infra-failed run", "KhronicleRunsInfraFailed", infra + ` _x3 1x30`, 5, []string{`{check="ns/dns", workload="KHCheck"}`}},
		{"it was 20 minutes ago", "KhronicleRunsInfraFailed", infra + ` _x3 1x30`, 24, nil},
		{"a further one", "KhronicleRunsInfraFailed", infra + ` 1x30 2x30`, 35, []string{`{check="ns/dns", workload="KHCheck"}`}},
		{"a scrape failed 15 minutes ago", "KhronicleRunsInfraFailed", infra + ` 1x9 stale 1x30` + "\n" + began + ` 0x9 stale 0x30`, 25, nil},
		{
			"a worker that began anew at this address, and counts the same", "KhronicleRunsInfraFailed",
			infra + ` 1x5 stale _x19 1x30` + "\n" + began + ` 0x5 stale 390x60`, 30,
			[]string{`{check="ns/dns", workload="KHCheck"}`},
		},
		{
			"that was 16 minutes ago", "KhronicleRunsInfraFailed",
			infra + ` 1x5 stale _x19 1x30` + "\n" + began + ` 0x5 stale 390x60`, 42, nil,
		},
		{
			"a worker that began anew counts one in its first scrape", "KhronicleRunsInfraFailed",
			infra + ` 1x30` + "\n" + began + ` 0x5 330x30`, 20,
			[]string{`{check="ns/dns", workload="KHCheck"}`},
		},
		{
			"one while scrapes failed for 20 minutes", "KhronicleRunsInfraFailed",
			infra + ` 1x5 stale _x20 2x30` + "\n" + began + ` 0x5 stale _x20 0x30`, 30,
			[]string{`{check="ns/dns", workload="KHCheck"}`},
		},
		{"a scrape failed an hour ago", "KhronicleAttemptsInfraFailed", spoiled + ` 1x69 stale 1x90` + "\n" + began + ` 0x69 stale 0x90`, 130, nil},
		{"the very first", "KhronicleAttemptsInfraFailed", spoiled + ` _x69 1x90`, 75, []string{`{check="ns/dns", workload="KHCheck"}`}},
		{"a scrape failed an hour ago", "KhronicleCheckFlaky", flaky + ` 1x69 stale 1x90`, 130, nil},
		{"the very first", "KhronicleCheckFlaky", flaky + ` _x69 1x90`, 75, []string{`{check="ns/dns", workload="KHCheck"}`}},
		{"a scrape failed 15 minutes ago", "KhronicleTicksMissed", missed + ` 1x9 stale 1x30`, 25, nil},
		{"a scrape failed an hour ago", "KhronicleTicksSkipped", skipped + ` 1x69 stale 1x90`, 130, nil},
		{"a run that failed is no fault of the platform", "KhronicleRunsInfraFailed", `khronicle_runs_total{check="ns/dns",workload="KHCheck",outcome="failed"} 1+1x30`, 20, nil},
		{"the very first ticks that were missed", "KhronicleTicksMissed", missed + ` _x3 4x30`, 5, []string{`{check="ns/dns", workload="KHCheck"}`}},
		{"they were 20 minutes ago", "KhronicleTicksMissed", missed + ` _x3 4x30`, 24, nil},
		{"a worker that was replaced", "KhronicleTicksMissed", missed + ` 4x30 stale` + "\n" + `khronicle_ticks_without_run_total{check="ns/dns",workload="KHCheck",outcome="skipped",instance="w-2"} _x31 1x10`, 40, nil},
		{"skipped ticks are not missed", "KhronicleTicksMissed", `khronicle_ticks_without_run_total{check="ns/dns",outcome="skipped"} 1+1x30`, 20, nil},
		{"skipped for hours", "KhronicleTicksSkipped", `khronicle_ticks_without_run_total{check="ns/dns",outcome="skipped"} 1+1x200`, 150, []string{`{check="ns/dns"}`}},
		{"a run that began late, lately", "KhronicleRunsLate", `
			khronicle_check_start_delay_seconds{check="ns/dns",workload="KHCheck"} 61x30
			khronicle_check_last_outcome_timestamp_seconds{check="ns/dns",workload="KHCheck"} 60x30
			khronicle_check_start_delay_seconds{check="ns/web",workload="KHCheck"} 0.04x30
			khronicle_check_last_outcome_timestamp_seconds{check="ns/web",workload="KHCheck"} 60x30`, 10, []string{`{check="ns/dns", workload="KHCheck"}`}},
		{"it is long ago, and the next run is tomorrow", "KhronicleRunsLate", `
			khronicle_check_start_delay_seconds{check="ns/dns",workload="KHCheck"} 61x30
			khronicle_check_last_outcome_timestamp_seconds{check="ns/dns",workload="KHCheck"} 60x30`, 25, nil},
		{"the heart beats in one of two workers", "KhronicleHeartbeatStopped", `
			khronicle_heartbeat_timestamp_seconds{instance="w-1"} 0x30
			khronicle_heartbeat_timestamp_seconds{instance="w-2"} 0+60x30`, 20, nil},
		{"the workers live, and the heart does not", "KhronicleHeartbeatStopped", `
			khronicle_heartbeat_timestamp_seconds{instance="w-1"} 0x30
			khronicle_heartbeat_timestamp_seconds{instance="w-2"} 60x30`, 20, []string{`{}`}},
		{"no worker lives", "KhronicleHeartbeatStopped", `khronicle_heartbeat_timestamp_seconds{instance="w-1"} 0+60x10 stale`, 20, []string{`{}`}},
		{"the service outside takes beats again", "KhronicleHeartbeatNotSent", `khronicle_heartbeat_sent_total{result="failure",instance="w-1"} 0x5 3x30`, 20, nil},
		{"the service outside takes none", "KhronicleHeartbeatNotSent", `khronicle_heartbeat_sent_total{result="failure",instance="w-1"} 0+2x30`, 20, []string{`{}`}},
		{"the beats are spread over many workers", "KhronicleHeartbeatNotSent", `
			khronicle_heartbeat_sent_total{result="failure",instance="w-1"} 0x12 1x30
			khronicle_heartbeat_sent_total{result="failure",instance="w-2"} 0x13 1x30
			khronicle_heartbeat_sent_total{result="failure",instance="w-3"} 0x15 1x30
			khronicle_heartbeat_sent_total{result="failure",instance="w-4"} 5x30`, 20, []string{`{}`}},
		{"one beat of many workers", "KhronicleHeartbeatNotSent", `
			khronicle_heartbeat_sent_total{result="failure",instance="w-1"} 0x12 1x30
			khronicle_heartbeat_sent_total{result="failure",instance="w-2"} 0x30
			khronicle_heartbeat_sent_total{result="success",instance="w-2"} 0+2x30`, 20, nil},
		{"no report API", "KhronicleStateUnknown", `kuberhealthy_cluster_state 1x5 stale`, 10, []string{`{}`}},
		{"ledger", "KhronicleLedgerDown", `khronicle_ledger_up{instance="w-1"} 1x5 0x5`, 10, []string{`{__name__="khronicle_ledger_up", instance="w-1"}`}},
		{"a version that does not fit", "KhronicleWorkflowStuck", stuck + ` _x5 1+3x10`, 8, []string{`{instance="w-1", workflow_type="CheckRun"}`}},
		{"a scrape failed 5 minutes ago", "KhronicleWorkflowStuck", stuck + ` 1x9 stale 1x30` + "\n" + began + ` 0x9 stale 0x30`, 15, nil},
		{"a new process that cannot go on either", "KhronicleWorkflowStuck", stuck + ` 1x9 stale 1x30` + "\n" + began + ` 0x9 stale 600x30`, 14, []string{`{instance="w-1", workflow_type="CheckRun"}`}},
	}
	all := rules(t)
	for _, tt := range tests {
		t.Run(tt.alert+": "+tt.name, func(t *testing.T) {
			load := "load 1m\n"
			for line := range lines(tt.series) {
				load += "  " + line + "\n"
			}
			storage := promqltest.LoadedStorage(t, load)
			engine := promqltest.NewTestEngine(t, false, 0, 10_000)
			query, err := engine.NewInstantQuery(t.Context(), storage, nil, all[tt.alert].Expr, time.Unix(int64(tt.minute)*60, 0))
			if err != nil {
				t.Fatal(err)
			}
			defer query.Close()
			vector, err := query.Exec(t.Context()).Vector()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, sample := range vector {
				got = append(got, sample.Metric.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("fires for (-want +got):\n%s", diff)
			}
		})
	}
}

func lines(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !yield(line) {
				return
			}
		}
	}
}
