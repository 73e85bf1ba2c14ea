package measure

import "time"

// Cost is what one part of the stack used in the window.
type Cost struct {
	Part string `json:"part"`
	// CPUPerRun is all CPU time of the window divided by the runs, in milliseconds.
	CPUPerRun float64 `json:"cpuMillisecondsPerRun"`
	// Idle is the CPU time that the part uses when there is no check, in milliseconds a second.
	Idle float64 `json:"idleMillisecondsPerSecond"`
	// NetCPUPerRun is CPUPerRun less the idle share.
	NetCPUPerRun float64 `json:"netCPUMillisecondsPerRun"`
	// RSS is the resident memory at the end of the window, in bytes. Memory that processes share counts once.
	RSS int64 `json:"rssBytes"`
}

// Used is CPU time that was used in a span of time.
type Used struct{ CPU, Span time.Duration }

// CostOf returns the cost of a run, from what a part used in the window and what it used in a span without checks.
func CostOf(part string, window, idle Used, runs int, rss int64) Cost {
	c := Cost{Part: part, RSS: rss}
	if idle.Span > 0 {
		c.Idle = milliseconds(idle.CPU) / idle.Span.Seconds()
	}
	if runs > 0 {
		c.CPUPerRun = milliseconds(window.CPU) / float64(runs)
		c.NetCPUPerRun = c.CPUPerRun - c.Idle*window.Span.Seconds()/float64(runs)
	}
	return c
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
