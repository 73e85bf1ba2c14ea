// Package health holds the state of checks and jobs in Go, with the names of Kuberhealthy v2.4's package health. It is
// for programs that were written against that; it reads and decides nothing.
//
// Its types are those of api/v1, so that one value fits both. WorkloadDetails therefore differs from v2.4's. LastRun is a
// *metav1.Time in whole seconds, nil before the first outcome. There is a Node. The workload is also the field KHWorkload,
// which may be nil.
package health

import khv1 "github.com/khronicle/khronicle/api/v1"

// KHWorkload says which of the two resources a run or a state belongs to.
type KHWorkload = khv1.KHWorkload

// The two workloads: a KuberhealthyCheck runs again and again, a KuberhealthyJob once.
const (
	KHCheck KHWorkload = khv1.KHCheck
	KHJob   KHWorkload = khv1.KHJob
)

// WorkloadDetails is the last outcome of one check or job.
type WorkloadDetails = khv1.WorkloadDetails

// NewWorkloadDetails returns details of a workload without an outcome. An empty type is left open, as on states that
// Kuberhealthy has written; v2.4 panicked.
func NewWorkloadDetails(workloadType KHWorkload) WorkloadDetails {
	details := WorkloadDetails{Errors: []string{}}
	if workloadType != "" {
		details.KHWorkload = &workloadType
	}
	return details
}
