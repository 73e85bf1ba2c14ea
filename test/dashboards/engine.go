package main

import (
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// engine answers: does Khronicle itself work, and what limits it? Requests are shown by rate, errors and duration, and
// resources by use, saturation and errors.
func engine() board {
	return board{
		name: "engine", title: "Khronicle / Engine",
		description: "Khronicle's own processes, reports, workers, Temporal and the ledger.",
		variables:   []cog.Builder[dashboard.VariableModel]{dataSource(), jobs(), pages()},
		rows: []row{
			{"Does it work?", works()},
			{"Runs", punctuality()},
			{"Reports: rate, errors, duration", reports()},
			{"Workers: use, saturation, errors", workers()},
			{"Requests to Temporal: rate, errors, duration", requests()},
			{"Temporal's server", server()},
			{"Ledger", records()},
			{"Exports", exports()},
			{"Processes", processes()},
		},
	}
}

func works() []panel {
	return []panel{
		{
			title: "Heartbeat", kind: number, unit: "s", meaning: badFrom(120), alert: "khronicleheartbeatstopped",
			description: "Time since the last heartbeat, which beats every 30 s through Temporal and a worker.",
			queries:     of(series(`time() - max(khronicle_heartbeat_timestamp_seconds{ROLES})`, "heartbeat")),
		},
		{
			title: "Processes", kind: number, unit: "short", meaning: plain(),
			description: "Processes of Khronicle that Prometheus scrapes: worker, starter and report API.",
			queries:     of(series(`count(khronicle_config_last_reload_successful{ROLES})`, "processes")),
		},
		{
			title: "Configuration", kind: number, unit: "none", meaning: okOrNot("OK", "WRONG"), alert: "khronicleconfigurationwrong",
			description: "Whether every process could read the present configuration file.",
			queries:     of(series(`min(khronicle_config_last_reload_successful{ROLES})`, "configuration")),
		},
		{
			title: "Ledger", kind: number, unit: "none", meaning: okOrNot("UP", "DOWN"), alert: "khronicleledgerdown",
			description: "Whether the database of the ledger answers every process that uses it. Without a ledger there is no value.",
			queries:     of(series(`min(khronicle_ledger_up{ROLES})`, "ledger")),
		},
		{
			title: "Stuck workflows", kind: number, unit: "short", meaning: badFrom(1), alert: "khronicleworkflowstuck",
			description: "Workflow tasks that workers failed in the last five minutes.",
			queries:     of(series(`round(sum(increase(temporal_workflow_task_execution_failed_total{ROLES}[5m]))) or vector(0)`, "failed")),
		},
		{
			title: "Restarts", kind: number, unit: "short", meaning: badFrom(1),
			description: "Starts of processes within the range that is shown.",
			queries:     of(series(`sum(changes(process_start_time_seconds{ROLES}[$__range]))`, "restarts")),
		},
	}
}

func punctuality() []panel {
	return []panel{
		{
			title: "Start after the tick", kind: graph, unit: "s", alert: "khroniclerunslate",
			description: "Time from a tick to the start of its run. Temporal rounds its timers up to whole seconds.",
			queries:     quantiles("khronicle_run_start_delay_seconds", "ROLES"),
		},
		{
			title: "Wait for a pod", kind: graph, unit: "s",
			description: "How long runs waited until their pod might start, because of an earlier pod or the limits of pods.",
			queries:     quantiles("khronicle_run_queued_seconds", "ROLES"),
		},
		{
			title: "Start to outcome", kind: graph, unit: "s",
			description: "Time from the start of a run to its outcome.",
			queries:     quantiles("khronicle_run_outcome_seconds", "ROLES"),
		},
		{
			title: "Start to end", kind: graph, unit: "s",
			description: "Time from the start of a run to its end, with the end of its pod.",
			queries:     quantiles("khronicle_run_seconds", "ROLES"),
		},
	}
}

func reports() []panel {
	return []panel{
		{
			title: "Reports", kind: graph, unit: "reqps", stacked: true,
			description: "Reports of checks per second, by result.",
			queries:     of(perSecond("result", "khronicle_reports_total", "ROLES")),
		},
		{
			title: "Reports that were not accepted", kind: graph, unit: "percentunit", alert: "khroniclereportsrefused",
			description: "The share of the reports with another result than accepted. unavailable is an error of Temporal, all others are errors of a check.",
			queries: of(series(`sum by (result) (rate(khronicle_reports_total{result!="accepted",ROLES}[$__rate_interval]))
				/ on () group_left () sum(rate(khronicle_reports_total{ROLES}[$__rate_interval]))`, "{{result}}")),
		},
		{
			title: "Time to store a report", kind: graph, unit: "s", alert: "khroniclereportsrefused",
			description: "Duration of the request that stores a report in Temporal, which is most of the time that a check waits.",
			queries:     quantiles("temporal_request_latency_seconds", `operation="SignalWorkflowExecution",ROLES`),
		},
		{
			title: "Late reports", kind: graph, unit: "reqps", stacked: true,
			description: "Reports per second of runs that were no longer open. sent ones are stored as evidence.",
			queries:     of(perSecond("result", "khronicle_late_reports_total", "ROLES")),
		},
	}
}

func workers() []panel {
	return []panel{
		{
			title: "Slots in use", kind: graph, unit: "short", alert: "khronicleticksmissed",
			description: "Tasks that workers do at present, by type. Each open run uses one activity slot while its pod runs.",
			queries:     of(series(`sum by (worker_type) (temporal_worker_task_slots_used{ROLES})`, "{{worker_type}}")),
		},
		{
			title: "Free slots", kind: graph, unit: "short", alert: "khronicleticksmissed",
			description: "Tasks that workers could do besides, by type. At 0, runs start late or not at all: start more workers.",
			queries:     of(series(`sum by (worker_type) (temporal_worker_task_slots_available{ROLES})`, "{{worker_type}}")),
		},
		{
			title: "Wait for a worker", kind: graph, unit: "s", alert: "khroniclerunslate",
			description: "99th percentile of the time that workflow tasks wait in Temporal for a worker. More than a second means that workers are overloaded.",
			queries:     of(quantileBy("workflow_type", "temporal_workflow_task_schedule_to_start_latency_seconds")),
		},
		{
			title: "Duration of workflow tasks", kind: graph, unit: "s",
			description: "99th percentile of the duration of workflow tasks, by type of workflow. It has the local activities in it.",
			queries:     of(quantileBy("workflow_type", "temporal_workflow_task_execution_latency_seconds")),
		},
		{
			title: "Duration of local activities", kind: graph, unit: "s",
			description: "99th percentile of the duration of the short steps of a run: requests to Kubernetes, the ledger and Temporal.",
			queries:     of(quantileBy("activity_type", "temporal_local_activity_execution_latency_seconds")),
		},
		{
			title: "Failed workflow tasks", kind: graph, unit: "cpm", alert: "khronicleworkflowstuck",
			description: "Workflow tasks per minute that workers failed, by type of workflow. Temporal repeats them.",
			queries:     of(perMinute("workflow_type", "temporal_workflow_task_execution_failed_total", "ROLES")),
		},
	}
}

func requests() []panel {
	return []panel{
		{
			title: "Requests", kind: graph, unit: "reqps", stacked: true,
			description: "Requests of Khronicle to Temporal per second, by operation, without those that wait for tasks.",
			queries:     of(perSecond("operation", "temporal_request_total", "ROLES")),
		},
		{
			title: "Failed requests", kind: graph, unit: "reqps", stacked: true,
			description: "Failed requests to Temporal per second. NotFound and AlreadyExists are answers that Khronicle expects.",
			queries: of(series(`sum by (operation, status_code) (rate(temporal_request_failure_total{ROLES}[$__rate_interval]))`,
				"{{operation}} {{status_code}}")),
		},
		{
			title: "Duration of requests", kind: graph, unit: "s", width: 24,
			description: "99th percentile of the duration of requests to Temporal, by operation.",
			queries:     of(quantileBy("operation", "temporal_request_latency_seconds")),
		},
	}
}

// server are panels of Temporal's own metrics, which have no job of Khronicle.
func server() []panel {
	return []panel{
		{
			title: "Requests by service", kind: graph, unit: "reqps", stacked: true,
			description: "Requests per second to the services of Temporal's server.",
			queries:     of(perSecond("service_name", "service_requests", "")),
		},
		{
			title: "Errors by service", kind: graph, unit: "reqps", stacked: true,
			description: "Errors per second of the services of Temporal's server, by kind.",
			queries: of(series(`sum by (service_name, error_type) (rate(service_error_with_type[$__rate_interval]))`,
				"{{service_name}} {{error_type}}")),
		},
		{
			title: "Duration of persistence", kind: graph, unit: "s",
			description: "99th percentile of the duration of requests to Temporal's database, for the eight slowest operations.",
			queries: of(series(`topk(8, histogram_quantile(0.99, sum by (le, operation) (rate(persistence_latency_bucket[$__rate_interval]))))`,
				"{{operation}}")),
		},
		{
			title: "Errors of persistence", kind: graph, unit: "reqps", stacked: true,
			description: "Errors per second of Temporal's database, by kind.",
			queries:     of(perSecond("error_type", "persistence_error_with_type", "")),
		},
	}
}

func records() []panel {
	return []panel{
		{
			title: "Records", kind: graph, unit: "wps",
			description: "Records and evidence that were stored per second, and those that a transaction failed to store. They are stored again later.",
			queries: of(
				series(`sum(rate(khronicle_ledger_rows_total{ROLES}[$__rate_interval]))`, "stored"),
				series(`sum(rate(khronicle_ledger_failed_rows_total{ROLES}[$__rate_interval]))`, "failed"),
			),
		},
		{
			title: "Transactions", kind: graph, unit: "ops",
			description: "Transactions per second, and callers that wait for one.",
			queries: of(
				series(`sum(rate(khronicle_ledger_batches_total{ROLES}[$__rate_interval]))`, "transactions"),
				series(`sum(khronicle_ledger_queued_records{ROLES})`, "callers that wait"),
			),
		},
	}
}

func exports() []panel {
	return []panel{
		{
			title: "Dead man's switch", kind: graph, unit: "cpm", alert: "khronicleheartbeatnotsent",
			description: "Heartbeats per minute that were sent to the service of --deadman-url. Without it there are none.",
			queries:     of(perMinute("result", "khronicle_deadman_sent_total", "ROLES")),
		},
		{
			title: "InfluxDB", kind: graph, unit: "cpm", alert: "khronicleinfluxdbdropspoints",
			description: "Points per minute for InfluxDB. Without an export to InfluxDB there are none.",
			queries:     of(perMinute("result", "khronicle_influxdb_points_total", "ROLES")),
		},
	}
}

func processes() []panel {
	return []panel{
		{
			title: "CPU", kind: graph, unit: "none",
			description: "CPU cores in use, by process.",
			queries:     of(series(`sum by (job, instance) (rate(process_cpu_seconds_total{ROLES}[$__rate_interval]))`, "{{job}} {{instance}}")),
		},
		{
			title: "Memory", kind: graph, unit: "bytes",
			description: "Resident memory, by process.",
			queries:     of(series(`sum by (job, instance) (process_resident_memory_bytes{ROLES})`, "{{job}} {{instance}}")),
		},
		{
			title: "Goroutines", kind: graph, unit: "short",
			description: "Goroutines, by process. A number that rises without end is a leak.",
			queries:     of(series(`sum by (job, instance) (go_goroutines{ROLES})`, "{{job}} {{instance}}")),
		},
		{
			title: "Open files", kind: graph, unit: "percentunit",
			description: "Open files and connections as a share of the limit, by process.",
			queries:     of(series(`max by (job, instance) (process_open_fds{ROLES} / process_max_fds{ROLES})`, "{{job}} {{instance}}")),
		},
	}
}
