package web

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/view"
)

// runsSize is how many runs one page of a check has.
const runsSize = 50

// outcomes are those that the list of runs can be filtered by.
var outcomes = []check.Outcome{
	check.Succeeded, check.Failed, check.TimedOut, check.InfraFailed, check.Canceled, check.Skipped, check.Missed, check.Paused, check.Unfinished,
}

// checkPage is the page of a check or job.
type checkPage struct {
	check.Ref
	Kind string
	// Check is nil after the check was deleted, while the ledger has its records.
	Check      *view.Check
	Errors     []string
	Facts      []fact
	Uptimes    []uptime
	Commands   []command
	Spec       view.Spec
	Chart      chart
	Runs       []runRow
	Filter     runsFilter
	Outcomes   []string
	Newest     string
	Older      string
	NoLedger   string
	Legend     []legend
	RunsFailed string
}

// fact is a name and a value.
type fact struct{ Name, Value string }

// runRow is a run in the list of a check.
type runRow struct {
	view.Run
	Path, Outcome, Error string
	Shape                chart
	Further              int
}

// runsFilter is the filter of the list of runs as the URL has it.
type runsFilter struct{ Outcome, Since, Until, after string }

// check serves GET /checks/{namespace}/{name}. 200, 400: a parameter is wrong. 404: there is no such check, and no record of
// one.
func (p *Pages) check(r *http.Request) (answered, error) {
	s, at := p.View.Snapshot(), rootOf(r)
	ref, found, err := p.refOf(r, s)
	if err != nil {
		return answered{}, err
	}
	filter, query, err := runsFilterOf(r.URL.Query())
	if err != nil {
		return answered{}, err
	}
	body := checkPage{
		Ref: ref, Kind: kindWord(ref.Kind), Check: found, Filter: filter, NoLedger: sayLedger(s.Ledger), Legend: legends, Newest: at.check(ref),
	}
	for _, outcome := range outcomes {
		body.Outcomes = append(body.Outcomes, outcomeWord(outcome))
	}
	runs, err := p.View.Runs(r.Context(), ref, query)
	switch {
	case err != nil && found == nil:
		return answered{}, err
	case err != nil:
		p.Logger.Warn("the ledger cannot be read for the page of a check", "namespace", ref.Namespace, "check", ref.Name, "error", err)
		body.RunsFailed = "The ledger does not answer, so no runs are shown."
	case found == nil && len(runs.Runs) == 0 && !p.recorded(r, ref):
		return answered{}, &problem{http.StatusNotFound, fmt.Sprintf("There is no %s %s, and no record of one.", body.Kind, shorten(ref.String()))}
	}
	body.addRuns(runs, at)
	if found != nil {
		body.addCheck(p.View, found)
	}
	live := byStream
	if filter.after != "" { // a page of the past does not change
		live = ""
	}
	return answered{template: "check", Title: ref.String(), Live: live, Only: keyOf(ref), At: s.At, Body: body}, nil
}

// recorded is true if the ledger has a record of a check.
func (p *Pages) recorded(r *http.Request, ref check.Ref) bool {
	page, err := p.View.Runs(r.Context(), ref, view.RunsQuery{Limit: 1})
	return err == nil && len(page.Runs) > 0
}

// shorten returns a text of a client in at most 130 bytes.
func shorten(text string) string { return check.Plain(clean(text), 130) }

func (c *checkPage) addRuns(page view.RunsPage, at root) {
	for _, run := range page.Runs {
		one := runRow{Run: run, Path: at.run(run), Outcome: outcomeWord(run.Outcome), Shape: sampleOf(run)}
		if len(run.Errors) > 0 {
			one.Error, one.Further = check.Plain(clean(run.Errors[0]), errorBytes), len(run.Errors)-1
		}
		c.Runs = append(c.Runs, one)
	}
	c.Chart = chartOf(page.Runs, at)
	if page.Next != nil {
		older := c.Filter
		older.after = page.Next.ID()
		c.Older = older.address(c.Ref, at)
	}
}

func (c *checkPage) addCheck(v *view.View, found *view.Check) {
	c.Errors, c.Uptimes, c.Commands = found.Errors(), uptimesOf(found), commandsFor(found)
	if found.Fault != "" && !slices.Contains(c.Errors, found.Fault) {
		c.Errors = append([]string{found.Fault}, c.Errors...)
	}
	c.Spec, _ = v.Spec(found.Ref)
	c.Facts = factsOf(found)
}

func factsOf(c *view.Check) []fact {
	facts := []fact{}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, fact{name, value})
		}
	}
	if c.Kind == khv1.KHCheck {
		schedule := c.Schedule.Schedule
		if schedule == "" {
			schedule = "every " + took(c.Interval)
		}
		add("Schedule", schedule)
		add("Time zone", c.Schedule.TimeZone)
	}
	add("Phase", string(c.Phase))
	add("Timeout", took(c.Timeout))
	add("Attempts", fmt.Sprint(c.Attempts))
	if c.Sample > 0 {
		add("Durations", fmt.Sprintf("median %s, p95 %s, of %d runs", took(c.Median), took(c.P95), c.Sample))
	}
	if c.LastRun != nil {
		add("Node of the last run", c.LastRun.Node)
	}
	labels := []string{}
	for _, name := range slices.Sorted(maps.Keys(c.Labels)) {
		labels = append(labels, name+"="+c.Labels[name])
	}
	add("Labels", strings.Join(labels, ", "))
	add("Created", utc(c.Created))
	return facts
}

// runsFilterOf reads the filter of the list of runs. The error is a problem.
func runsFilterOf(query url.Values) (f runsFilter, q view.RunsQuery, err error) {
	for name, into := range map[string]*string{"outcome": &f.Outcome, "since": &f.Since, "until": &f.Until, "after": &f.after} {
		if *into, err = parameter(query, name); err != nil {
			return f, q, err
		}
	}
	q.Limit = runsSize
	if q.Since, err = timeOf("since", f.Since); err != nil {
		return f, q, err
	}
	if q.Until, err = timeOf("until", f.Until); err != nil {
		return f, q, err
	}
	for _, word := range words(f.Outcome) {
		at := slices.IndexFunc(outcomes, func(o check.Outcome) bool { return outcomeWord(o) == word })
		if at < 0 {
			return f, q, wrong("outcome", word, "an outcome such as failed or timed-out")
		}
		q.Outcomes = append(q.Outcomes, outcomes[at])
	}
	if f.after != "" {
		if q.After, err = view.ParseRunID(f.after); err != nil {
			return f, q, wrong("after", f.after, `a run such as schedule-1795996800000000`)
		}
	}
	return f, q, nil
}

// timeOf reads a time as fields of forms and people write it. Without an offset it is UTC. Nothing is the zero time.
func timeOf(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, wrong(name, text, "a time such as 2026-11-22T10:00")
}

// Any is true if a filter is set.
func (f runsFilter) Any() bool { return f.Outcome+f.Since+f.Until+f.after != "" }

// Past is true for a page after the first one.
func (f runsFilter) Past() bool { return f.after != "" }

// address is the path and query of the runs of a check with this filter.
func (f runsFilter) address(ref check.Ref, at root) string {
	path, kind, _ := strings.Cut(at.check(ref), "?")
	query, _ := url.ParseQuery(kind) // it is our own
	for name, value := range map[string]string{"outcome": f.Outcome, "since": f.Since, "until": f.Until, "after": f.after} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}
