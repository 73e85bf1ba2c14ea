package verb

import (
	"strconv"
	"strings"
	"time"

	"github.com/khronicle/khronicle/external/apiclient"
)

// checkList shows checks. named says whether their namespaces are shown.
func checkList(checks []apiclient.Check, named bool, now time.Time) list {
	l := list{
		value:  apiclient.CheckList{Items: checks, Total: len(checks)},
		header: []string{"NAME", "STATE", "SINCE", "LAST RUN", "TOOK", "24H", "ERROR", "REASON", "7D", "30D", "P95", "NEXT RUN", "SCHEDULE", "KIND", "NODE"},
		narrow: 7, state: 1,
	}
	for _, c := range checks {
		last := c.LastRun
		if last == nil {
			last = &apiclient.LastRun{}
		}
		name := c.Name
		if named {
			name = c.Namespace + "/" + c.Name
		}
		p95 := "-"
		if c.Durations != nil {
			p95 = seconds(&c.Durations.P95Seconds)
		}
		l.rows = append(l.rows, []string{
			name, string(c.State), ago(c.Since, now), ago(last.ConcludedAt, now), seconds(last.DurationSeconds), share(c.Uptime, day),
			firstError(c.Errors), string(c.Reason), share(c.Uptime, week), share(c.Uptime, month), p95, until(c.NextRunAt, now),
			schedule(c), string(c.Kind), orDash(last.Node),
		})
		l.names = append(l.names, c.Namespace+"/"+c.Name)
		l.cases = append(l.cases, caseOfCheck(c, last))
	}
	return l
}

// schedule says when a check runs.
func schedule(c apiclient.Check) string {
	switch {
	case c.Kind == apiclient.KindJob:
		return "once"
	case c.Schedule == nil:
		return "every 10m"
	case c.TimeZone != nil:
		return *c.Schedule + " in " + *c.TimeZone
	case strings.Contains(*c.Schedule, " "):
		return *c.Schedule
	}
	return "every " + *c.Schedule
}

func caseOfCheck(c apiclient.Check, last *apiclient.LastRun) testCase {
	one := testCase{Class: c.Namespace, Name: c.Name, Seconds: valueOf(last.DurationSeconds)}
	wrong := &failure{Message: string(c.Reason), Text: strings.Join(c.Errors, "\n")}
	switch c.State {
	case apiclient.StateFailing:
		one.Failure = wrong
	case apiclient.StateUnknown:
		one.Error = wrong
	case apiclient.StatePaused:
		one.Skipped = &failure{Message: string(c.Reason)}
	}
	return one
}

// runList shows runs. named says whether the names of their checks are shown.
func runList(runs []apiclient.Run, named bool) list {
	l := list{
		value:  apiclient.RunList{Items: runs},
		header: []string{"SCHEDULED", "OUTCOME", "TOOK", "TRIGGER", "RUN", "ERROR", "ATTEMPTS", "QUEUED", "NODE"},
		narrow: 6, state: 1,
	}
	if named {
		l.header, l.narrow, l.state = append([]string{"CHECK"}, l.header...), l.narrow+1, l.state+1
	}
	for _, r := range runs {
		name := r.Namespace + "/" + r.Name
		row := []string{
			r.ScheduledAt.UTC().Format(time.RFC3339), outcomeText(r), seconds(r.DurationSeconds), string(r.Trigger), r.ID,
			firstError(r.Errors), strconv.Itoa(r.Attempts), seconds(&r.QueuedSeconds), orDash(r.Node),
		}
		if named {
			row = append([]string{name}, row...)
		}
		l.rows = append(l.rows, row)
		l.names = append(l.names, name+"/"+r.ID)
		l.cases = append(l.cases, caseOfRun(r))
	}
	return l
}

func outcomeText(r apiclient.Run) string {
	if r.Flaky {
		return string(r.Outcome) + " (flaky)"
	}
	return string(r.Outcome)
}

func caseOfRun(r apiclient.Run) testCase {
	one := testCase{Class: r.Namespace + "/" + r.Name, Name: r.ScheduledAt.UTC().Format(time.RFC3339), Seconds: valueOf(r.DurationSeconds)}
	wrong := &failure{Message: string(r.Outcome), Text: strings.Join(r.Errors, "\n")}
	switch r.Outcome {
	case apiclient.OutcomeSucceeded:
	case apiclient.OutcomeFailed, apiclient.OutcomeTimedOut:
		one.Failure = wrong
	case apiclient.OutcomeInfraFailed, apiclient.OutcomeMissed, apiclient.OutcomeCanceled:
		one.Error = wrong
	default: // running, skipped, paused
		one.Skipped = &failure{Message: string(r.Outcome)}
	}
	return one
}

func valueOf(number *float64) float64 {
	if number == nil {
		return 0
	}
	return *number
}
