package proof

import (
	"fmt"
	"slices"
	"time"

	"github.com/khronicle/khronicle/test/chaos/fault"
)

// aftermath is how long a fault may still have an effect after its end. Processes start and connect. The work of a dead
// worker starts again after its timeout: 10 s for a workflow task, 10 s for the heartbeat of an activity.
var aftermath = map[fault.Target]time.Duration{
	fault.Worker: 20 * time.Second, fault.Worker2: 20 * time.Second, fault.Temporal: 20 * time.Second,
	fault.WorkerTemporal: 20 * time.Second, fault.Worker2Temporal: 20 * time.Second,
	fault.WorkerKube: 15 * time.Second, fault.Worker2Kube: 15 * time.Second,
	fault.APIServer: 15 * time.Second, fault.Kubelet: 15 * time.Second,
	fault.AllTemporal: 20 * time.Second, fault.Machine: 5 * time.Second,
	fault.ReportAPI: 5 * time.Second, fault.ReportAPITemporal: 10 * time.Second, fault.PodsReportAPI: 5 * time.Second,
}

// The faults that each kind of harm may come from. A check's outcome must not depend on the ledger's database, its disk and
// links, the starter, and what the report API reads of the cluster. So these explain nothing.
var (
	engine = []fault.Target{
		fault.Temporal, fault.Worker, fault.Worker2, fault.WorkerTemporal, fault.Worker2Temporal, fault.AllTemporal, fault.Machine,
	}
	platform = slices.Concat(engine, []fault.Target{fault.APIServer, fault.Kubelet, fault.WorkerKube, fault.Worker2Kube})
	reports  = []fault.Target{
		fault.Temporal, fault.ReportAPI, fault.ReportAPITemporal, fault.PodsReportAPI, fault.AllTemporal, fault.Machine,
	}
)

// explainer finds faults that explain harm, and counts them.
type explainer struct {
	faults []fault.Window
	count  map[string]int
}

// explains is true when a fault on one of the targets was going on, or had just ended, between two times. One that was going on
// is named before one that had ended.
func (e *explainer) explains(harm string, by []fault.Target, from, to time.Time) bool {
	cause := ""
	for _, f := range e.faults {
		if !slices.Contains(by, f.Target) || f.From.After(to) || f.To.Add(aftermath[f.Target]).Before(from) {
			continue
		}
		if during := !f.To.Before(from); during || cause == "" {
			cause = fmt.Sprintf("%s, by %s %s", harm, f.Kind, f.Target)
			if during {
				break
			}
		}
	}
	if cause != "" {
		e.count[cause]++
	}
	return cause != ""
}
