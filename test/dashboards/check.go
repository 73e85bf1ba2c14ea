package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// oneCheck answers for one check: how is it, how reliable is it, and does it run when it should?
func oneCheck() board {
	return board{
		name: "check", title: "Khronicle / Check",
		description: "One check: its state, its runs, and its ticks without a run.",
		variables:   []cog.Builder[dashboard.VariableModel]{dataSource(), jobs(), namespaces(), single(checks()), pages()},
		rows:        []row{{"Now", checkNow()}, {"State and duration", checkStates()}, {"Runs", checkRuns()}},
	}
}

func checkNow() []panel {
	return []panel{
		{
			title: "State", kind: number, unit: "none", meaning: okOrNot("OK", "NOT OK"), page: checkPage, alert: "khroniclecheckfailing",
			description: "The last outcome of the check.",
			queries:     of(series(`min by (check) (kuberhealthy_check{CHECKS})`, "{{check}}")),
		},
		{
			title: "Outcome in time", kind: number, unit: "none", alert: "khroniclecheckunknown",
			meaning: &meaning{
				texts: map[string]dashboard.ValueMappingResult{"0": word("in time", "green", 0), "1": word("UNKNOWN", "red", 1)},
				steps: badFrom(1).steps,
			},
			description: "Whether the last outcome came in time. If not, the state is unknown.",
			queries:     of(series(`max(khronicle_check_unknown{CHECKS})`, "unknown")),
		},
		{
			title: "Last outcome", kind: number, unit: "s", meaning: plain(),
			description: "Time since the last outcome was recorded.",
			queries:     of(series(`time() - max(khronicle_check_last_outcome_timestamp_seconds{CHECKS})`, "age")),
		},
		{
			title: "OK over the range", kind: number, unit: "percentunit", meaning: plain(),
			description: "The share of the time for which the last outcome was OK.",
			queries:     of(series(`avg_over_time((min(kuberhealthy_check{CHECKS}))[$__range:])`, "OK")),
		},
		{
			title: "Runs that succeeded", kind: number, unit: "percentunit", meaning: plain(),
			description: "The share of the runs in the range that succeeded. Canceled runs do not count.",
			queries: of(series(`sum(increase(khronicle_runs_total{outcome="succeeded",CHECKS}[$__range]))
				/ sum(increase(khronicle_runs_total{outcome!="canceled",CHECKS}[$__range]))`, "succeeded")),
		},
		{
			title: "Last start", kind: number, unit: "s", meaning: badFrom(60), alert: "khroniclerunslate",
			description: "Time from the tick to the start of the last run.",
			queries:     of(series(`max(khronicle_check_start_delay_seconds{CHECKS})`, "delay")),
		},
	}
}

func checkStates() []panel {
	return []panel{
		{
			title: "State", kind: timeline, width: 24, height: 4, unit: "none", meaning: okOrNot("OK", "not OK"), page: checkPage,
			description: "The state of the check over time.",
			queries:     of(series(`min by (check) (kuberhealthy_check{CHECKS})`, "{{check}}")),
		},
		{
			title: "Duration", kind: graph, unit: "s",
			description: "Time from the start of a run to its report. 0 means that the run had no report.",
			queries:     of(series(`max by (check) (kuberhealthy_check_duration_seconds{CHECKS})`, "{{check}}")),
		},
		{
			title: "Start after the tick", kind: graph, unit: "s", alert: "khroniclerunslate",
			description: "Time from the tick to the start of the run.",
			queries:     of(series(`max by (check) (khronicle_check_start_delay_seconds{CHECKS})`, "{{check}}")),
		},
	}
}

func checkRuns() []panel {
	return []panel{
		{
			title: "Runs by outcome", kind: graph, unit: "cpm", stacked: true, alert: "khroniclerunsinfrafailed",
			description: "Finished runs per minute. infra-failed means that the platform did not let the check run.",
			queries:     of(perMinute("outcome", "khronicle_runs_total", "CHECKS")),
		},
		{
			title: "Ticks without a run", kind: graph, unit: "cpm", stacked: true, alert: "khronicleticksskipped",
			description: "Ticks per minute at which no run started: skipped because the previous run was open, missed in an outage, or paused.",
			queries:     of(perMinute("outcome", "khronicle_ticks_without_run_total", "CHECKS")),
		},
		{
			title: "Attempts that the platform ended", kind: graph, unit: "cpm", alert: "khronicleattemptsinfrafailed",
			description: "Infrastructure failures of attempts per minute, also of runs that succeeded.",
			queries:     of(perMinute("check", "khronicle_infra_failed_attempts_total", "CHECKS")),
		},
		{
			title: "Flaky runs", kind: graph, unit: "cpm", alert: "khroniclecheckflaky",
			description: "Runs per minute that succeeded after one of their attempts had failed.",
			queries:     of(perMinute("check", "khronicle_flaky_runs_total", "CHECKS")),
		},
	}
}
