package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// checkPage is the page of the check in the label check.
const checkPage = "/checks/${__field.labels.check}"

// overview answers: is all well, what is not, and since when?
func overview() board {
	return board{
		name: "overview", title: "Khronicle / Overview",
		description: "The state of the cluster, the checks that are not OK, and how runs went.",
		variables:   []cog.Builder[dashboard.VariableModel]{dataSource(), jobs(), namespaces(), checks(), pages()},
		rows:        []row{{"Now", overviewNow()}, {"Not OK", notOK()}, {"Runs", runs()}},
	}
}

func overviewNow() []panel {
	return []panel{
		{
			title: "Cluster", kind: number, unit: "none", meaning: okOrNot("OK", "NOT OK"), alert: "khroniclestateunknown",
			description: "Whether every check and job is OK. Without a value, no report API shows the state.",
			queries:     of(series(`min(kuberhealthy_cluster_state{ROLES})`, "cluster")),
		},
		{
			title: "Checks OK", kind: number, unit: "percentunit", meaning: &meaning{steps: []dashboard.Threshold{{Color: "red"}, {Color: "green", Value: cog.ToPtr(1.0)}}},
			description: "The share of the checks whose last outcome is OK.",
			queries:     of(series(`avg(min by (check) (kuberhealthy_check{CHECKS}))`, "OK")),
		},
		{
			title: "Checks that fail", kind: number, unit: "short", meaning: badFrom(1), alert: "khroniclecheckfailing",
			description: "Checks that are not OK. Those without an outcome in time count as unknown instead.",
			queries:     of(series(`count(`+failing+`) or vector(0)`, "failing")),
		},
		{
			title: "Jobs that failed", kind: number, unit: "short", meaning: badFrom(1), alert: "khroniclejobfailed",
			description: "Jobs that are not OK, until they are deleted.",
			queries:     of(series(`count(min by (check) (kuberhealthy_job{CHECKS}) == 0) or vector(0)`, "failed")),
		},
		{
			title: "Unknown", kind: number, unit: "short", meaning: badFrom(1), alert: "khroniclecheckunknown",
			description: "Checks and jobs without an outcome in time. Nobody knows how they are.",
			queries:     of(series(`count(max by (check, workload) (khronicle_check_unknown{CHECKS}) == 1) or vector(0)`, "unknown")),
		},
		{
			title: "Heartbeat", kind: number, unit: "s", meaning: badFrom(120), alert: "khronicleheartbeatstopped",
			description: "Time since the last heartbeat of the engine, which beats every 30 s. From 120 s on, no check runs.",
			queries:     of(series(`time() - max(khronicle_heartbeat_timestamp_seconds{ROLES})`, "heartbeat")),
		},
	}
}

func notOK() []panel {
	return []panel{
		{
			title: "Alerts that fire", kind: list, unit: "short",
			description: "Alerts of deploy/prometheus/rules.yaml. The runbook has a section for each.",
			queries:     of(query{expr: `max by (alertname, severity, check) (ALERTS{alertname=~"Khronicle.*",alertstate="firing"})`}),
		},
		{
			title: "Errors of checks", kind: list, unit: "short", page: "/checks/${__data.fields.check}", alert: "khroniclecheckfailing",
			description: "Checks that are not OK, with the beginning of their errors. A click opens the page with runs and evidence.",
			queries:     of(series(`max by (check, error) (kuberhealthy_check{CHECKS} == 0) + 1`, "")),
		},
		{
			title: "Checks that were not OK", kind: timeline, width: 24, unit: "none", meaning: okOrNot("OK", "not OK"), page: checkPage,
			description: "Each check that was not OK at some time of the range that is shown.",
			queries: of(series(`min by (check) (kuberhealthy_check{CHECKS})
				and on (check) min by (check) (min_over_time(kuberhealthy_check{CHECKS}[$__range] @ end())) == 0`, "{{check}}")),
		},
	}
}

func runs() []panel {
	return []panel{
		{
			title: "Runs by outcome", kind: graph, unit: "cpm", stacked: true, alert: "khroniclerunsinfrafailed",
			description: "Finished runs per minute. infra-failed means that the platform did not let the check run.",
			queries:     of(perMinute("outcome", "khronicle_runs_total", "CHECKS")),
		},
		{
			title: "Ticks without a run", kind: graph, unit: "cpm", stacked: true, alert: "khronicleticksmissed",
			description: "Ticks per minute at which no run started: skipped because the previous run was open, missed in an outage, or paused.",
			queries:     of(perMinute("outcome", "khronicle_ticks_without_run_total", "CHECKS")),
		},
		{
			title: "Slowest checks", kind: ranking, unit: "s", meaning: plain(), page: checkPage,
			description: "The ten checks whose last run took longest from the start of the run to its report.",
			queries:     of(series(`topk(10, max by (check) (kuberhealthy_check_duration_seconds{CHECKS}))`, "{{check}}")),
		},
		{
			title: "Latest starts", kind: ranking, unit: "s", meaning: badFrom(60), page: checkPage, alert: "khroniclerunslate",
			description: "The ten checks whose last run started latest after its tick. Up to one second is normal.",
			queries:     of(series(`topk(10, max by (check) (khronicle_check_start_delay_seconds{CHECKS}))`, "{{check}}")),
		},
	}
}
