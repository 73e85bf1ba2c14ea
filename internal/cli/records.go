package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/view"
)

// Records is the part of the ledger that the command records reads.
type Records interface {
	Overview(ctx context.Context, now time.Time) ([]ledger.Summary, error)
	LastRuns(ctx context.Context, ref check.Ref, limit int) ([]ledger.Record, error)
	Uptime(ctx context.Context, ref check.Ref, from, to time.Time) (ledger.Counts, error)
}

// RecordsOptions say how many records of a check are shown, and how.
type RecordsOptions struct {
	Limit  int
	Format Format
}

// ShowAllRecords writes one line for each check and job: its last outcome, and its outcomes of the last day.
func ShowAllRecords(ctx context.Context, records Records, format Format, out io.Writer) error {
	summaries, err := records.Overview(ctx, time.Now())
	if err != nil {
		return err
	}
	return writeList(out, format, summaries, summaryTable)
}

// ShowRecords writes the newest records of the check and the job NAMESPACE/NAME, and the uptime of the last 30 days.
func ShowRecords(ctx context.Context, records Records, name string, o RecordsOptions, out io.Writer) error {
	refs, err := refsOf(name)
	if err != nil {
		return err
	}
	var found []ledger.Record
	for _, ref := range refs {
		last, err := records.LastRuns(ctx, ref, o.Limit)
		if err != nil {
			return err
		}
		if o.Format == Text {
			if err := showUptime(ctx, records, ref, out); err != nil {
				return err
			}
		}
		found = append(found, last...)
	}
	if len(found) == 0 && o.Format == Text {
		return fmt.Errorf("the ledger has no record of a check or job %s", name)
	}
	for i := range found {
		found[i] = view.Hidden(found[i])
	}
	return writeList(out, o.Format, found, recordTable)
}

// showUptime writes the uptime of the last 30 days, or nothing if there was no run.
func showUptime(ctx context.Context, records Records, ref check.Ref, out io.Writer) error {
	now := time.Now()
	counts, err := records.Uptime(ctx, ref, now.AddDate(0, 0, -30), now)
	if err != nil {
		return err
	}
	if uptime, known := counts.Uptime(); known {
		fmt.Fprintf(out, "%s %s: %.1f %% of %d runs in 30 days succeeded\n", ref.Kind, ref, 100*uptime, counts.Known())
	}
	return nil
}

// refsOf returns the check and the job that NAMESPACE/NAME may mean.
func refsOf(arg string) ([]check.Ref, error) {
	namespace, name, ok := strings.Cut(arg, "/")
	if !ok {
		return nil, fmt.Errorf("%q is not NAMESPACE/NAME", arg)
	}
	return []check.Ref{
		{Kind: khv1.KHCheck, Namespace: namespace, Name: name}, {Kind: khv1.KHJob, Namespace: namespace, Name: name},
	}, nil
}

// summaryTable writes the table of all checks and jobs.
func summaryTable(out io.Writer, summaries []ledger.Summary) {
	fmt.Fprintln(out, "CHECK\tLAST TICK\tOUTCOME\tRUNNING\t24H: OK\tFAILED\tTIMED OUT\tINFRA\tSKIPPED\tMISSED")
	for _, s := range summaries {
		tick, outcome := "-", "-"
		if s.Last != nil {
			tick, outcome = s.Last.Tick.Format(time.RFC3339), string(s.Last.Outcome)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", s.Ref, tick, outcome, s.Running,
			s.Day.Succeeded, s.Day.Failed, s.Day.TimedOut, s.Day.InfraFailed, s.Day.Skipped, s.Day.Missed)
	}
}

// recordTable writes the table of records.
func recordTable(out io.Writer, records []ledger.Record) {
	fmt.Fprintln(out, "TICK\tTRIGGER\tOUTCOME\tLATE\tQUEUED\tTOOK\tATTEMPTS\tNODE\tERROR")
	for _, a := range records {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", a.Tick.Format(time.RFC3339), a.Trigger, outcomeText(a),
			between(a.Tick, a.Started), queuedText(a.Queued), between(a.Started, a.Concluded), a.Attempts, cmp.Or(a.Node, "-"), firstLine(a.Errors))
	}
}

// outcomeText returns the outcome in words, with the number of attempts if there was more than one.
func outcomeText(r ledger.Record) string {
	if r.Outcome == check.Unfinished {
		return "running"
	}
	var details []string
	if r.Flaky {
		details = append(details, "flaky")
	}
	if r.Attempts > 1 {
		details = append(details, fmt.Sprintf("%d attempts", r.Attempts))
	}
	if r.Attempts > 1 && r.InfraFailures > 0 {
		details = append(details, fmt.Sprintf("infrastructure failures: %d", r.InfraFailures))
	}
	if len(details) == 0 {
		return string(r.Outcome)
	}
	return fmt.Sprintf("%s (%s)", r.Outcome, strings.Join(details, ", "))
}

// queuedText returns how long a run was queued, "-" if it was not.
func queuedText(queued time.Duration) string {
	if queued == 0 {
		return "-"
	}
	return queued.Round(time.Millisecond).String()
}
