package reportapi

import (
	"time"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/check"
)

// view is the state of the cluster at one moment, for a page or a scrape.
type view struct {
	Presentation
	summary check.Summary
	now     time.Time
	states  []*khv1.KuberhealthyState
	// awaited is the next outcome of each check and job.
	awaited []check.Awaited
}

// viewer makes views. It remembers expensive results for resources that have not changed.
type viewer struct {
	Options
	awaited memory[versions, check.Awaited]
	delays  memory[versions, startDelay]
}

// startDelay is how late the last run in a state began.
type startDelay struct {
	delay time.Duration
	known bool
}

// view reads the cached resources and sends the API server no request.
func (o *viewer) view(namespaces []string) view {
	states := o.States.States()
	v := view{Presentation: o.presentation(), now: o.now(), states: states}
	remembered := o.awaited.begin()
	v.awaited = check.AwaitedOfAll(o.States.Checks(), o.States.Jobs(), states, o.States.IsJob,
		func(c *khv1.KuberhealthyCheck, state *khv1.KuberhealthyState) check.Awaited {
			return ofVersions(remembered, versionsOf(c, state), func() check.Awaited { return check.AwaitedOfCheck(c, state) })
		})
	o.awaited.end(remembered)
	var unknown []check.Awaited
	for _, awaited := range v.awaited {
		if awaited.Unknown(v.now) && !v.IgnoreUnknown {
			unknown = append(unknown, awaited)
		}
	}
	v.summary = check.Summarize(states, o.States.IsJob, namespaces, unknown...)
	return v
}

// startDelays returns how late the last runs began in the states of a view, in their order.
func (o *viewer) startDelays(v view) []startDelay {
	remembered := o.delays.begin()
	delays := make([]startDelay, len(v.states))
	for i, state := range v.states {
		delays[i] = ofVersions(remembered, versionsOf(nil, state), func() startDelay {
			runs := check.RecentRuns(state)
			if len(runs) == 0 {
				return startDelay{}
			}
			delay, known := runs[len(runs)-1].StartDelay()
			return startDelay{delay, known}
		})
	}
	o.delays.end(remembered)
	return delays
}

func (o Options) presentation() Presentation {
	if o.Presentation == nil {
		return Presentation{}
	}
	return o.Presentation()
}

func (o Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}
