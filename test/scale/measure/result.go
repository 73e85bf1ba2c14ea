package measure

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/khronicle/khronicle/test/browse"
)

// Result is the outcome of one measurement. It is written as JSON, and make scale-plot draws it.
type Result struct {
	// Version is that of the program that was measured. Arguments are the flags of the measurement.
	Version   string    `json:"version"`
	Arguments []string  `json:"arguments"`
	Time      time.Time `json:"time"`
	Store     string    `json:"store"`
	Checks    int       `json:"checks"`

	IntervalSeconds float64 `json:"intervalSeconds"`
	WarmUpSeconds   float64 `json:"warmUpSeconds"`
	WindowSeconds   float64 `json:"windowSeconds"`
	// IdleSeconds is the length of the measurement of the idle shares, before the checks were applied.
	IdleSeconds float64 `json:"idleSeconds"`

	Due       int `json:"due"`
	Started   int `json:"started"`
	Succeeded int `json:"succeeded"`
	// Missed ticks have no run before the next tick is due, be they skipped or missed in Khronicle's words.
	Missed int `json:"missed"`
	Extra  int `json:"extra"`
	// Runs is how many runs were started in the window; all costs are per run.
	Runs int `json:"runs"`
	// Lateness counts from the tick; see Schedule. Lag counts from the time at which the server wanted to start the tick.
	Lateness Quantiles `json:"latenessSeconds"`
	Lag      Quantiles `json:"lagSeconds"`

	Costs          []Cost             `json:"costs"`
	Requests       map[string]float64 `json:"requestsPerRun"`
	RequestsPerRun float64            `json:"allRequestsPerRun"`
	// BytesPerRun is by how much the databases grew.
	BytesPerRun map[string]float64 `json:"databaseBytesPerRun"`
	// MachineIdle is the idle share of all cores in the window, and Others what other programs used, in cores.
	MachineIdle float64 `json:"machineIdleShare"`
	Others      float64 `json:"otherProgramsCores"`
	Player      any     `json:"player"`
	// Pages is what open pages received and cost, where there were some.
	Pages *Pages `json:"pages,omitempty"`
	// Hang is what was seen while the database of the ledger hung, where it did.
	Hang *Hang `json:"hang,omitempty"`
}

// saturated is the idle share below which processes wait for each other, and retries count as cost of the runs.
const saturated = 0.05

// SetRequests divides the requests by the runs.
func (r *Result) SetRequests(counts map[string]int) {
	r.Requests = map[string]float64{}
	if r.Runs == 0 {
		return
	}
	for what, n := range counts {
		r.Requests[what] = float64(n) / float64(r.Runs)
		r.RequestsPerRun += r.Requests[what]
	}
}

// SetBytes divides the growth of the databases by the runs.
func (r *Result) SetBytes(before, after map[string]int64) {
	r.BytesPerRun = map[string]float64{}
	for part := range after {
		if r.Runs > 0 {
			r.BytesPerRun[part] = float64(after[part]-before[part]) / float64(r.Runs)
		}
	}
}

// Pages is what the pages that were open in the window received, and what the report API used.
type Pages struct {
	browse.Figures
	// CPU is the CPU time of the report API, in milliseconds a second. Compare it with that of a measurement with 0 pages.
	CPU float64 `json:"reportAPIMillisecondsPerSecond"`
	// BytesPerSecond is what one page receives.
	BytesPerSecond float64 `json:"bytesPerSecondOfAPage"`
}

// SetPages adds what open pages received, and what the report API used meanwhile.
func (r *Result) SetPages(f browse.Figures, used Used) {
	r.Pages = &Pages{Figures: f, CPU: milliseconds(used.CPU) / used.Span.Seconds()}
	if f.Pages > 0 {
		r.Pages.BytesPerSecond = float64(f.LoadBytes+f.EventBytes) / used.Span.Seconds() / float64(f.Pages)
	}
}

func (p *Pages) write(row func(name, format string, args ...any)) {
	row("pages", "%d open: %d loads (p50 %.0f ms, p99 %.0f ms, %d bytes each), %d events (%d bytes each), %d failures", p.Pages,
		p.Loads, p.P50, p.P99, p.LoadBytes/max(int64(p.Loads), 1), p.Events, p.EventBytes/max(int64(p.Events), 1), p.Failures)
	row("  of each", "%.0f bytes a second", p.BytesPerSecond)
	row("report API", "%.1f ms of CPU a second", p.CPU)
}

// Write writes the result for people.
func (r *Result) Write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("measured", "%s: %d checks every %.0f s on %s, for %.0f s", r.Version, r.Checks, r.IntervalSeconds, r.Store, r.WindowSeconds)
	row("ticks", "%d due, %d started, %d missed, %d extra; %d runs succeeded", r.Due, r.Started, r.Missed, r.Extra, r.Succeeded)
	row("lateness", "p50 %.3f s, p99 %.3f s, max %.3f s (Temporal rounds timers of a cron workflow up to whole seconds)", r.Lateness.P50, r.Lateness.P99, r.Lateness.Max)
	row("lag", "p50 %.3f s, p99 %.3f s, max %.3f s (without the rounding)", r.Lag.P50, r.Lag.P99, r.Lag.Max)
	row("machine", "%.0f %% idle; other programs used %.2f cores", 100*r.MachineIdle, r.Others)
	if r.MachineIdle < saturated {
		row("WARNING", "the machine was too slow for these checks and all else that ran: the figures per run say nothing")
	}
	for _, part := range slices.Sorted(maps.Keys(r.BytesPerRun)) {
		row("database of "+part, "%.0f bytes a run", r.BytesPerRun[part])
	}
	row("API requests", "%.2f a run", r.RequestsPerRun)
	for _, what := range slices.Sorted(maps.Keys(r.Requests)) {
		row("  "+what, "%.2f", r.Requests[what])
	}
	if r.Hang != nil {
		r.Hang.write(row)
	}
	if r.Pages != nil {
		r.Pages.write(row)
	}
	fmt.Fprintf(table, "\npart\tms a run, net\tms a run, raw\tidle, ms/s\tRSS, MB\n")
	for _, c := range r.Costs {
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t%.0f\n", c.Part, c.NetCPUPerRun, c.CPUPerRun, c.Idle, float64(c.RSS)/(1<<20))
	}
	return table.Flush()
}
