package khstatecrd_test

import (
	"testing"

	khv1 "github.com/khronicle/khronicle/api/v1"
	"github.com/khronicle/khronicle/external/khstatecrd"
)

// v2.4 has this method, and programs call it on states that Kuberhealthy or Khronicle wrote.
func TestGetKHWorkloadIsEmptyForAStateWithoutOne(t *testing.T) {
	var state khstatecrd.KuberhealthyState
	if got := state.Spec.GetKHWorkload(); got != "" {
		t.Errorf("workload is %q, want none", got)
	}
	job := khv1.KHJob
	state.Spec.KHWorkload = &job
	if got := state.Spec.GetKHWorkload(); got != khv1.KHJob {
		t.Errorf("workload is %q, want %q", got, khv1.KHJob)
	}
}
