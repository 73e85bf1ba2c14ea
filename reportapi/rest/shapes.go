package rest

import (
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/external/apiclient"
	"github.com/khronicle/khronicle/view"
)

// Bounds of the errors of a check in a list.
const (
	listedErrors     = 5
	listedErrorBytes = 1024
)

// running is the outcome of a run that is open.
const running = apiclient.OutcomeRunning

// maybe returns nil for a zero value, so that its field is absent.
func maybe[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}

// moment returns nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// interval returns nil for 0.
func interval(d time.Duration) *float64 { return maybe(d.Seconds()) }

func kindOf(kind khv1.KHWorkload) apiclient.Kind {
	if kind == khv1.KHJob {
		return apiclient.KindJob
	}
	return apiclient.KindCheck
}

// workload is the inverse of kindOf. Nil is neither.
func workload(kind *apiclient.Kind) khv1.KHWorkload {
	switch {
	case kind == nil:
		return ""
	case *kind == apiclient.KindJob:
		return khv1.KHJob
	}
	return khv1.KHCheck
}

func outcomeOf(outcome check.Outcome) apiclient.Outcome {
	if outcome == check.Unfinished {
		return running
	}
	return apiclient.Outcome(outcome)
}

// texts returns an empty list instead of none, and makes valid UTF-8 of its texts.
func texts(list []string) []string {
	all := make([]string, len(list))
	for i, text := range list {
		all[i] = strings.ToValidUTF8(text, "\uFFFD")
	}
	return all
}

func checkOf(c *view.Check, ledger view.LedgerState) apiclient.Check {
	shown := apiclient.Check{
		Kind: kindOf(c.Kind), Namespace: c.Namespace, Name: c.Name, Labels: c.Labels, CreatedAt: c.Created.UTC(),
		State: apiclient.State(c.State), Reason: apiclient.Reason(c.Reason), Message: maybe(c.Message), Since: moment(c.Since),
		SinceOrEarlier: maybe(c.SinceOrEarlier),
		TimeZone:       maybe(c.Schedule.TimeZone), IntervalSeconds: interval(c.Interval), TimeoutSeconds: c.Timeout.Seconds(),
		Attempts: c.Attempts, Suspended: c.Suspended, Fault: maybe(c.Fault), Phase: maybe(string(c.Phase)),
		Errors: texts(c.Errors()), NextRunAt: moment(c.NextRun), OutcomeDueAt: moment(c.OutcomeBy),
	}
	if shown.Labels == nil {
		shown.Labels = map[string]string{}
	}
	if c.Kind == khv1.KHCheck {
		shown.Schedule = maybe(scheduleOf(c.Schedule))
	}
	if last := c.LastRun; last != nil {
		shown.LastRun = &apiclient.LastRun{
			Outcome: outcomeOf(last.Outcome), ScheduledAt: moment(last.Tick), StartedAt: moment(last.Started),
			ConcludedAt: moment(last.Concluded), DurationSeconds: interval(last.Duration), Node: maybe(last.Node),
		}
	}
	if c.Sample > 0 {
		shown.Durations = &apiclient.Durations{MedianSeconds: c.Median.Seconds(), P95Seconds: c.P95.Seconds(), Runs: c.Sample}
	}
	if ledger != view.LedgerNone {
		shown.Uptime = &apiclient.Uptimes{Day: uptimeOf(c.Day), Week: uptimeOf(c.Week), Month: uptimeOf(c.Month)}
		shown.RunningRuns = new(c.Running)
	}
	return shown
}

func scheduleOf(s check.ScheduleSpec) string {
	switch {
	case s.Schedule != "":
		return s.Schedule
	case s.RunInterval != "":
		return s.RunInterval
	}
	return "10m"
}

// listed is a check as a list has it.
func listed(c *view.Check, ledger view.LedgerState) apiclient.Check {
	shown := checkOf(c, ledger)
	shown.Errors = shown.Errors[:min(len(shown.Errors), listedErrors)]
	for i, text := range shown.Errors {
		shown.Errors[i] = check.Cut(text, listedErrorBytes)
	}
	return shown
}

func uptimeOf(u view.Uptime) apiclient.Uptime {
	shown := apiclient.Uptime{Succeeded: u.Succeeded, Known: u.Known}
	if share, known := u.Share(); known {
		shown.Share = &share
	}
	return shown
}

func runOf(r view.Run) apiclient.Run {
	shown := apiclient.Run{
		ID: r.ID(), Kind: kindOf(r.Kind), Namespace: r.Namespace, Name: r.Name, UUID: maybe(r.UUID),
		Trigger: apiclient.Trigger(r.Trigger), Outcome: outcomeOf(r.Outcome), Flaky: r.Flaky,
		ScheduledAt: r.Tick.UTC(), StartedAt: moment(r.Started), PodCreatedAt: moment(r.PodCreated), RunningAt: moment(r.Running),
		ReportedAt: moment(r.Reported), ConcludedAt: moment(r.Concluded), ExitedAt: moment(r.Exited), RecordedAt: moment(r.Recorded),
		Deadline: moment(r.Deadline), QueuedSeconds: r.Queued.Seconds(), Attempts: r.Attempts, InfraFailures: r.InfraFailures,
		Node: maybe(r.Node), ImageDigest: maybe(r.ImageDigest), SpecHash: maybe(r.SpecHash), Errors: texts(r.Errors), Notes: texts(r.Notes),
	}
	if r.Timed {
		shown.DurationSeconds = new(r.Duration.Seconds())
	}
	return shown
}

func evidenceOf(e view.Evidence) apiclient.Evidence {
	shown := apiclient.Evidence{Run: runOf(e.Run), Containers: []apiclient.Container{}, Pieces: []apiclient.Piece{}}
	for _, c := range e.Containers {
		one := apiclient.Container{
			Attempt: c.Attempt, Name: c.Name, State: c.State, Reason: maybe(c.Reason), Message: maybe(c.Message), FinishedAt: moment(c.Finished),
		}
		if c.State == "terminated" {
			one.ExitCode = new(c.ExitCode)
		}
		shown.Containers = append(shown.Containers, one)
	}
	for _, p := range e.Pieces {
		shown.Pieces = append(shown.Pieces, apiclient.Piece{
			Kind: p.Kind, Attempt: maybe(p.Attempt), Container: maybe(p.Container), Content: strings.ToValidUTF8(p.Content, "\uFFFD"),
			Size: p.Size, Cut: p.Cut(),
		})
	}
	return shown
}

func summaryOf(s view.Summary) apiclient.Summary {
	shown := apiclient.Summary{Ok: s.OK, Checks: countsOf(s.Checks), Jobs: countsOf(s.Jobs), Ledger: apiclient.LedgerState(s.Ledger)}
	if s.Ledger != view.LedgerNone {
		shown.RunningRuns, shown.Uptime = new(s.Running), new(uptimeOf(s.Uptime))
	}
	return shown
}

func countsOf(c view.Counts) apiclient.Counts {
	return apiclient.Counts{Total: c.Total(), Healthy: c.Healthy, Failing: c.Failing, Unknown: c.Unknown, Paused: c.Paused}
}
