package proof

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/journal"
)

// report is one report that a pod sent.
type report struct {
	ok     bool
	errors []string
	sent   time.Time
	// stored is when it was answered 200; the zero time means that it never was.
	stored time.Time
}

func (r report) String() string { return fmt.Sprintf("OK=%t %q", r.ok, r.errors) }

// witness is what the journals of a run say, taken together.
type witness struct {
	pods    int
	reports []report
	// began and last are the times of the first and the last line.
	began, last time.Time
	deadline    time.Time
	// end is how the last process ended by itself, or empty.
	end string
	// acts is what it was going to do.
	acts string
}

func hear(journals [][]journal.Line) witness {
	w := witness{pods: len(journals)}
	for _, lines := range journals {
		if w.began.IsZero() {
			w.began = lines[0].At
		}
		w.acts, w.deadline, w.end = lines[0].Text, lines[0].Deadline, ""
		first := len(w.reports)
		for _, line := range lines {
			w.last = line.At
			switch line.Kind {
			case journal.Sending:
				w.reports = append(w.reports, report{ok: line.OK, errors: line.Errors, sent: line.At})
			case journal.Answered:
				if r := &w.reports[first+line.Report-1]; line.Status == http.StatusOK && r.stored.IsZero() {
					r.stored = line.At
				}
			case journal.End:
				w.end = line.Text
			}
		}
	}
	return w
}

// before is how exact the deadline is: journals have it in whole seconds, rounded down.
const before = time.Second

// inTime is true when a report may have been received before the deadline.
func (w witness) inTime(r report) bool { return r.sent.Before(w.deadline.Add(before)) }

// counts is true when a report was certainly received before the deadline: it was answered 200 by then.
func (w witness) counts(r report) bool { return !r.stored.IsZero() && !r.stored.After(w.deadline) }

// acceptable returns the outcomes of which a run must have one. The first report that counts decides, or one before it, which
// may have been stored without an answer. certain is false when no report counts. Then any report that was sent in time may
// be the outcome.
func (w witness) acceptable() (outcomes []report, certain bool) {
	for i, r := range w.reports {
		if !w.inTime(r) {
			return outcomes, false
		}
		outcomes = append(outcomes, w.withFailures(r, w.reports[i+1:])...)
		if w.counts(r) {
			return outcomes, true
		}
	}
	return outcomes, false
}

// withFailures returns the outcomes that a report may have with those after it. A further report of failure adds its errors.
// It must do so if it counts.
func (w witness) withFailures(first report, further []report) []report {
	outcomes := []report{first}
	for _, r := range further {
		if r.ok || !w.inTime(r) {
			continue
		}
		newest := outcomes[len(outcomes)-1]
		newest.ok, newest.errors = false, append(slices.Clone(newest.errors), r.errors...)
		if w.counts(r) {
			outcomes = nil
		}
		outcomes = append(outcomes, newest)
	}
	return outcomes
}

// The texts by which a row says why it has no outcome of its check.
var (
	noExit    = check.NoExit(check.Observation{}).Text
	noReport  = check.NoReport(check.Observation{}).Text
	unseen    = check.NotStarted(check.Observation{}).Text
	silent    = strings.TrimSuffix(check.EndedSilently(check.Observation{}).Text, ": ")
	hadBefore = "before the deadline the check reported: "
	ignored   = "a report was ignored, because "
)

func says(row ledger.Record, text string) bool {
	return len(row.Errors) > 0 && strings.Contains(row.Errors[0], text)
}

// compareOutcome compares the outcome of a run with what its pods say.
func (p *prover) compareOutcome(row ledger.Record, run Run) {
	w := hear(p.pod[run.ID])
	p.lateReports(row, w)
	acceptable, certain := w.acceptable()
	for _, r := range acceptable {
		if isOutcome(row, r) {
			return
		}
		if says(row, noExit) && noted(row, r) {
			p.noExit(row, run, w)
			return
		}
	}
	switch {
	case certain:
		p.violated(LostReport, "%s, but a report of its pod was answered 200 before the deadline at %s; the outcome may be %v",
			describe(row), at(w.deadline), acceptable)
	case row.Outcome == check.Succeeded, row.Outcome == check.Failed && !row.Reported.IsZero():
		p.violated(Guessed, "%s, but its pods reported nothing of the kind: %v", describe(row), w.reports)
	default:
		p.failure(row, run, w)
	}
}

// lateReports looks whether the row notes a report that was stored and came after the deadline.
func (p *prover) lateReports(row ledger.Record, w witness) {
	for _, r := range w.reports {
		if r.stored.IsZero() || w.inTime(r) || row.Outcome == check.Canceled {
			continue
		}
		if !slices.ContainsFunc(row.Notes, func(note string) bool { return strings.HasPrefix(note, ignored) }) {
			p.violated(LostReport, "%s, but a report of its pod was answered 200 at %s, after the deadline at %s, and no note says so",
				describe(row), at(r.stored), at(w.deadline))
		}
	}
}

func isOutcome(row ledger.Record, r report) bool {
	if r.ok {
		return row.Outcome == check.Succeeded && len(row.Errors) == 0
	}
	return row.Outcome == check.Failed && sameTexts(row.Errors, r.errors)
}

// noted is true when the row keeps a report as a note.
func noted(row ledger.Record, r report) bool {
	for _, note := range row.Notes {
		rest, found := strings.CutPrefix(note, hadBefore)
		if found && strings.HasPrefix(rest, "succeeded") == r.ok && (r.ok || strings.Contains(rest, fmt.Sprintf("%q", r.errors))) {
			return true
		}
	}
	return false
}

// noExit looks whether a pod that reported was really there at the deadline, or whether a fault, or a busy node, hid its end.
func (p *prover) noExit(row ledger.Record, run Run, w witness) {
	if w.last.After(w.deadline.Add(-late)) {
		return
	}
	switch {
	case p.explains("end of the pod not seen", platform, w.last, run.Closed):
	case toldTooLate(row, w):
		p.count["timed-out, as the cluster told of the end of the pod too late"]++
	default:
		p.violated(Unexplained, "%s, but its pod wrote for the last time at %s, before the deadline at %s", describe(row), at(w.last), at(w.deadline))
	}
}

// failure looks whether a failure without an outcome of the check is what the pod did, or what a fault did.
func (p *prover) failure(row ledger.Record, run Run, w witness) {
	ended := says(row, silent)
	from := row.Tick
	if row.Started.Before(from) {
		from = row.Started
	}
	switch {
	case w.did(row), p.undelivered(row, w):
	case w.tooLate(row):
		p.count[string(row.Outcome)+", as the report came with the deadline"]++
	case ended && w.end == "" && w.last.After(row.Concluded):
		p.violated(Unexplained, "%s, but its pod was alive until %s", describe(row), at(w.last))
	case p.explains(string(row.Outcome)+" by the platform", platform, from, row.Concluded):
	case w.end == "crash" && toldTooLate(row, w):
		p.count[string(row.Outcome)+", as the cluster told of the end of the pod too late"]++
	case slow(row, w):
		p.count[string(row.Outcome)+", as the cluster started the pod too late"]++
	default:
		p.violated(Unexplained, "%s; its pods: %s; run from %s to %s", describe(row), w, at(run.Started), at(run.Closed))
	}
}

// tooLate is true when a report was sent at the very deadline and is noted as late.
func (w witness) tooLate(row ledger.Record) bool {
	noted := slices.ContainsFunc(row.Notes, func(note string) bool { return strings.HasPrefix(note, ignored) })
	return noted && len(w.reports) > 0 && w.reports[0].sent.Sub(w.deadline).Abs() < before
}

// did is true when the failure is what the check is made for. Of a crash just before the deadline, the deadline may come first.
func (w witness) did(row ledger.Record) bool {
	if w.end == "crash" {
		return says(row, silent) || says(row, noReport) && w.last.After(w.deadline.Add(-late))
	}
	return says(row, noReport) && strings.HasPrefix(w.acts, "hang")
}

// late is how long the news of the end of a pod may take on a busy machine. The kubelet reports first that a container has
// ended, and in a later step that its pod has ended.
const late = 4 * time.Second

// veryLate is how long it may take on a machine that is overloaded, if the run's own last look did not see it either.
const veryLate = 10 * time.Second

// toldTooLate is true when the run looked at the deadline, but the cluster did not know the end of the pod yet.
func toldTooLate(row ledger.Record, w witness) bool {
	return row.Exited.IsZero() && w.last.After(w.deadline.Add(-veryLate))
}

// atOnce is how long a run may take to create its pod, when it may start one. Kubernetes gives the time of that in whole seconds.
const atOnce = 3 * time.Second

// slow is true when the run did all it had to do, but the cluster was too slow. The first case: the pod did not start, or
// its start took more than half of the time that it had. The second case: the pod was created late, but its start took more
// than the whole timeout, so an early pod would not have helped. Then the failure is real, and Khronicle did not cause it.
func slow(row ledger.Record, w witness) bool {
	if row.Outcome != check.TimedOut || row.PodCreated.IsZero() {
		return false
	}
	began := row.Started.Add(row.Queued)
	cluster, timeout := w.began.Sub(row.PodCreated), w.deadline.Sub(began)
	if row.PodCreated.Sub(began) > atOnce {
		return w.pods == 1 && cluster > timeout
	}
	return w.pods == 0 && says(row, unseen) || w.pods == 1 && cluster > timeout/2
}

// undelivered is true when a fault prevented the delivery of the check's report.
func (p *prover) undelivered(row ledger.Record, w witness) bool {
	if gaveUp := says(row, silent) && w.end == "gave up"; len(w.reports) == 0 || !says(row, noReport) && !gaveUp {
		return false
	}
	return p.explains("report not delivered", reports, w.reports[0].sent, row.Concluded)
}

// String is what the pods of a run say, in a line.
func (w witness) String() string {
	if w.pods == 0 {
		return "none that wrote"
	}
	return fmt.Sprintf("%d, %s, from %s to %s, deadline %s, reports %v, end %q", w.pods, w.acts, at(w.began), at(w.last), at(w.deadline), w.reports, w.end)
}
