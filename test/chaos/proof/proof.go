package proof

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/khronicle/khronicle/check"
	"github.com/khronicle/khronicle/ledger"
	"github.com/khronicle/khronicle/test/chaos/journal"
)

// Result is what Prove found.
type Result struct {
	Violations []Violation
	// Figures say how much was proved, in the order in which people read them.
	Figures []Figure
}

// Figure is one number.
type Figure struct {
	Name  string
	Count int
}

// Prove judges the facts.
func Prove(f Facts) Result {
	p := newProver(f)
	for _, c := range f.Checks {
		p.schedule(c)
		p.state(c)
	}
	for _, row := range f.Rows {
		if !slices.ContainsFunc(f.Checks, func(c Check) bool { return c.Name == row.Name }) {
			p.violated(Surplus, "%s is of no check", describe(row))
		}
		p.row(row)
	}
	p.runs()
	p.decisions()
	p.pods()
	for rule, texts := range map[Rule][]string{BadLedger: f.Ledger, BadLog: f.Logs, NotSettled: f.Unsettled, LeftBehind: f.Left} {
		for _, text := range texts {
			p.violated(rule, "%s", text)
		}
	}
	slices.SortStableFunc(p.violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(slices.Index(Rules, a.Rule), slices.Index(Rules, b.Rule)), cmp.Compare(a.Text, b.Text))
	})
	return Result{Violations: p.violations, Figures: p.figures()}
}

type prover struct {
	Facts
	explainer
	violations []Violation
	due        int

	rows   map[string][]ledger.Record // by check
	byRun  map[string]Run
	pod    map[string][][]journal.Line // by run
	ticks  map[string][]Tick           // by check
	runsOf map[string][]Run            // by check
	states map[string]State
}

func newProver(f Facts) *prover {
	p := &prover{
		Facts: f, explainer: explainer{faults: f.Faults, count: map[string]int{}}, rows: map[string][]ledger.Record{},
		byRun: map[string]Run{}, pod: map[string][][]journal.Line{}, ticks: map[string][]Tick{}, runsOf: map[string][]Run{}, states: map[string]State{},
	}
	for _, row := range f.Rows {
		p.rows[row.Name] = append(p.rows[row.Name], row)
	}
	for _, run := range f.Runs {
		p.byRun[run.ID] = run
		p.runsOf[run.Check] = append(p.runsOf[run.Check], run)
	}
	for _, lines := range f.Journals {
		p.pod[lines[0].Run] = append(p.pod[lines[0].Run], lines)
	}
	for _, tick := range f.Ticks {
		p.ticks[tick.Check] = append(p.ticks[tick.Check], tick)
	}
	for _, all := range p.ticks {
		slices.SortFunc(all, func(a, b Tick) int { return a.Started.Compare(b.Started) })
	}
	for _, all := range p.runsOf {
		slices.SortFunc(all, func(a, b Run) int { return a.Started.Compare(b.Started) })
	}
	for _, state := range f.States {
		p.states[state.Check] = state
	}
	return p
}

func (p *prover) violated(rule Rule, format string, args ...any) {
	p.violations = append(p.violations, Violation{rule, fmt.Sprintf(format, args...)})
}

// at is how times are written: with the date left out, as all of them are of one run.
func at(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// schedule compares the rows of a check with its ticks.
func (p *prover) schedule(c Check) {
	// When the chaos is over the checks are suspended, by schedules of their own.
	schedules := slices.DeleteFunc(slices.Clone(c.Schedules), func(s Schedule) bool { return s.Start.After(p.Ended) })
	if len(schedules) != 1 {
		p.violated(OneSchedule, "%s has %d schedules, want 1: %v", c.Name, len(schedules), schedules)
		return
	}
	schedule, err := check.ParseSchedule(schedules[0].Spec)
	if err != nil {
		p.violated(OneSchedule, "%s: %v", c.Name, err)
		return
	}
	start := schedules[0].Start
	seen := p.rowsOfTicks(c, func(t time.Time) bool {
		return schedule.Next(start, t.Add(-time.Microsecond)).Sub(t) < time.Microsecond
	})
	for t := range schedule.Between(start, start, p.Ended) {
		if p.due++; !seen[t.UnixMicro()] {
			p.violated(Unrecorded, "%s was due at %s and has no row for that", c.Name, at(t))
		}
	}
	firsts := 0
	for _, row := range p.rows[c.Name] {
		if row.Trigger == check.TriggerFirst {
			firsts++
		}
	}
	if p.due++; firsts != 1 {
		p.violated(Unrecorded, "%s has %d rows of its first run, want 1", c.Name, firsts)
	}
}

// rowsOfTicks returns the times, in microseconds, of which a check has rows, and looks whether each is a tick and has one row.
func (p *prover) rowsOfTicks(c Check, due func(time.Time) bool) map[int64]bool {
	seen := map[int64]bool{}
	for _, row := range p.rows[c.Name] {
		if row.Trigger != check.TriggerSchedule || row.Outcome == check.Paused && row.Tick.After(p.Ended) {
			continue
		}
		if row.Outcome == check.Paused {
			p.violated(OneSchedule, "%s is paused at %s, when it was not suspended", c.Name, at(row.Tick))
		}
		tick := row.Tick.UnixMicro()
		if !due(row.Tick) || seen[tick] || row.CheckUID != c.UID {
			p.violated(Surplus, "%s has a row at %s (%s), which is no tick of it, or a second one for it", c.Name, at(row.Tick), row.Outcome)
		}
		seen[tick] = true
	}
	return seen
}

// state looks whether the KHState of a check shows its last run.
func (p *prover) state(c Check) {
	var last ledger.Record
	for _, row := range p.rows[c.Name] {
		ran := row.WorkflowID != "" && row.Outcome != check.Canceled && row.Outcome != check.Unfinished
		if ran && row.Started.After(last.Started) {
			last = row
		}
	}
	state, exists := p.states[c.Name]
	shows := fmt.Sprintf("run of %s, OK=%t %q", at(state.RunStarted), state.OK, state.Errors)
	switch {
	case last.Started.IsZero() && !exists:
	case !exists:
		p.violated(WrongState, "%s has no KHState, its last run began at %s", c.Name, at(last.Started))
	case state.RunStarted.UnixMicro() != last.Started.UnixMicro() || state.OK != (last.Outcome == check.Succeeded) ||
		!sameTexts(state.Errors, last.Errors):
		p.violated(WrongState, "%s shows the %s; its last run is that of %s: %s %q", c.Name, shows, at(last.Started), last.Outcome, last.Errors)
	case state.UUID != "" && state.UUID != last.WorkflowID:
		p.violated(WrongState, "%s shows the %s with the UUID of another run", c.Name, shows)
	}
}

// sameTexts compares what was reported with what was stored. The texts of these tests are short, so nothing is cut.
func sameTexts(a, b []string) bool {
	return len(a) == 0 && len(b) == 0 || slices.Equal(a, b)
}

// row looks whether a row is true.
func (p *prover) row(row ledger.Record) {
	switch row.Outcome {
	case check.Unfinished:
		p.violated(Open, "%s is open", describe(row))
	case check.Skipped:
		p.skipped(row)
	case check.Missed:
		p.missed(row)
	case check.Paused: // schedule looks whether it was
	default:
		p.ran(row)
	}
}

func describe(row ledger.Record) string {
	text := fmt.Sprintf("%s, %s tick of %s, started %s: %s", row.Name, row.Trigger, at(row.Tick), at(row.Started), row.Outcome)
	if len(row.Errors) > 0 {
		text += fmt.Sprintf(" %q", row.Errors)
	}
	if len(row.Notes) > 0 {
		text += fmt.Sprintf(", notes %q", row.Notes)
	}
	if row.WorkflowID != "" {
		text += ", run " + row.WorkflowID
	}
	return text
}

// rounding is how exact the start of a tick is. A cron workflow rounds to whole seconds, so that a tick may be that much
// too early.
const rounding = time.Second

// skipped looks for a run that was open while the tick was decided.
func (p *prover) skipped(row ledger.Record) {
	tick, ok := p.decided(row)
	if !ok {
		p.violated(FalseSkip, "%s, although no tick decided that", describe(row))
		return
	}
	for _, run := range p.runsOf[row.Name] {
		if run.ID != tick.RunID && (tick.Closed.IsZero() || !run.Started.After(tick.Closed)) && (run.Closed.IsZero() || !run.Closed.Before(tick.Started)) {
			return
		}
	}
	p.violated(FalseSkip, "%s, although no run was open from %s to %s, when that was decided", describe(row), at(tick.Started), at(tick.Closed))
}

// decided finds the tick that decided the tick of a row. Whoever decides twice, after a death, may decide a later one the
// second time; and a tick that was ended meanwhile has no result.
func (p *prover) decided(row ledger.Record) (Tick, bool) {
	for _, tick := range p.ticks[row.Name] {
		switch {
		case tick.Trigger != check.TriggerSchedule:
		case tick.Decided && tick.Tick.UnixMicro() >= row.Tick.UnixMicro(),
			!tick.Decided && (tick.Closed.IsZero() || tick.Closed.After(row.Tick.Add(-rounding))):
			return tick, !tick.Started.After(row.Tick.Add(pickUp))
		}
	}
	return Tick{}, false
}

// missed looks whether really nobody decided, and why.
func (p *prover) missed(row ledger.Record) {
	for _, tick := range p.ticks[row.Name] {
		if tick.Decided && tick.Trigger == row.Trigger && tick.Tick.UnixMicro() == row.Tick.UnixMicro() {
			p.violated(FalseMiss, "%s, although it was decided between %s and %s", describe(row), at(tick.Started), at(tick.Closed))
			return
		}
	}
	// When the chaos is over, the checks are suspended: a tick of that very moment belongs to neither schedule.
	if row.Tick.Before(p.Ended) && !p.explains("missed", engine, row.Tick.Add(-rounding), row.Tick.Add(pickUp)) {
		p.violated(Unexplained, "%s, and no fault explains that nobody was there", describe(row))
	}
}

// pickUp is how long after it is due a tick may still be lost by a worker's death.
const pickUp = 10 * time.Second

// ran compares a row with the run that it names.
func (p *prover) ran(row ledger.Record) {
	run, ok := p.byRun[row.WorkflowID]
	switch {
	case !ok:
		p.violated(NoRun, "%s, but Temporal has no such run", describe(row))
		return
	case run.Conclusion != nil && (run.Conclusion.Outcome != row.Outcome || !sameTexts(run.Conclusion.Errors, row.Errors)):
		p.violated(OtherResult, "%s, but the run's own result is %s %q", describe(row), run.Conclusion.Outcome, run.Conclusion.Errors)
	case run.Tick.UnixMicro() != row.Tick.UnixMicro() || run.UID != row.CheckUID:
		p.violated(OtherResult, "%s, but the run was due at %s for check %s", describe(row), at(run.Tick), run.UID)
	}
	p.compareOutcome(row, run)
}

// runs looks at the runs that Temporal has.
func (p *prover) runs() {
	rows := map[string]bool{}
	for _, row := range p.Rows {
		rows[row.WorkflowID] = true
	}
	ticks := map[string]string{}
	for _, run := range p.Runs {
		if run.Status != "Completed" || run.Conclusion == nil {
			p.violated(Broken, "run %s of %s, due at %s, has ended as %s", run.ID, run.Check, at(run.Tick), run.Status)
		}
		if !rows[run.ID] {
			p.violated(NoRow, "run %s of %s, due at %s, has no row", run.ID, run.Check, at(run.Tick))
		}
		key := fmt.Sprintf("%s %s %d", run.UID, run.Trigger, run.Tick.UnixMicro())
		if other, twice := ticks[key]; twice {
			p.violated(TwoRuns, "%s, due at %s, has the runs %s and %s", run.Check, at(run.Tick), other, run.ID)
		}
		ticks[key] = run.ID
	}
}

// decisions looks whether each tick did what it decided, and whether two runs of a check were open at a time.
func (p *prover) decisions() {
	skipped := map[string]bool{}
	for _, row := range p.Rows {
		if row.Outcome == check.Skipped {
			skipped[fmt.Sprintf("%s %d", row.Name, row.Tick.UnixMicro())] = true
		}
	}
	for _, tick := range p.Ticks {
		run, ran := p.byRun[tick.RunID]
		switch {
		case !tick.Decided:
		case tick.Skipped && (ran || !skipped[fmt.Sprintf("%s %d", tick.Check, tick.Tick.UnixMicro())]):
			p.violated(Undone, "%s was due at %s and skipped, but has no row that says so", tick.Check, at(tick.Tick))
		case !tick.Skipped && (!ran || run.Tick.UnixMicro() != tick.Tick.UnixMicro()):
			p.violated(Undone, "%s was due at %s and not skipped, but has no run %s of that time", tick.Check, at(tick.Tick), tick.RunID)
		}
	}
	for _, runs := range p.runsOf {
		for i := 1; i < len(runs); i++ {
			if before, next := runs[i-1], runs[i]; before.Closed.IsZero() || before.Closed.After(next.Started) {
				p.violated(Overlap, "%s: run %s began at %s, when run %s was open until %s", next.Check, next.ID, at(next.Started), before.ID, at(before.Closed))
			}
		}
	}
}

// pods looks whether each pod belongs to a run, and whether two of one run were alive at a time.
func (p *prover) pods() {
	for id, journals := range p.pod {
		if _, ok := p.byRun[id]; !ok {
			p.violated(StrangerPod, "pod %s was of run %s, which Temporal does not have", journals[0][0].Pod, id)
		}
		slices.SortFunc(journals, func(a, b []journal.Line) int { return a[0].At.Compare(b[0].At) })
		for i := 1; i < len(journals); i++ {
			if before, began := journals[i-1], journals[i][0]; began.At.Before(before[len(before)-1].At) {
				p.violated(TwoPods, "run %s had the pods %s until %s and %s from %s on", id, before[0].Pod, at(before[len(before)-1].At), began.Pod, at(began.At))
			}
		}
	}
}

func (p *prover) figures() []Figure {
	pods := map[string]int{}
	answered, processes, waited := 0, 0, 0
	for _, lines := range p.Journals {
		processes++
		pods[lines[0].Pod]++
		for _, line := range lines {
			if line.Kind == journal.Answered && line.Status == 200 {
				answered++
			}
		}
	}
	for _, run := range p.Runs {
		if run.Waited {
			waited++
		}
	}
	figures := []Figure{
		{"due, with the first run of each check", p.due},
		{"rows", len(p.Rows)},
		{"runs", len(p.Runs)},
		{"runs whose record waited for the ledger", waited},
		{"pods", len(pods)},
		{"pods started twice by the kubelet", processes - len(pods)},
		{"reports answered 200", answered},
		{"faults", len(p.Faults)},
	}
	count := map[string]int{}
	for _, row := range p.Rows {
		count["rows "+string(row.Outcome)]++
	}
	for _, f := range p.Faults {
		count[fmt.Sprintf("faults: %s %s", f.Kind, f.Target)]++
	}
	for what, n := range p.count {
		count["explained: "+what] = n
	}
	for _, name := range slices.Sorted(maps.Keys(count)) {
		figures = append(figures, Figure{name, count[name]})
	}
	return append(figures, Figure{"violations", len(p.violations)})
}
