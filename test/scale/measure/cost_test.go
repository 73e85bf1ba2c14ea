package measure_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/test/scale/measure"
)

func TestCostLessItsIdleShare(t *testing.T) {
	idle := measure.Used{CPU: 300 * time.Millisecond, Span: 30 * time.Second} // 10 ms a second
	window := measure.Used{CPU: 36 * time.Second, Span: 4 * time.Minute}      // 2.4 s of it idle
	tests := []struct {
		name string
		idle measure.Used
		runs int
		want measure.Cost
	}{
		{"net", idle, 1200, measure.Cost{Part: "worker", CPUPerRun: 30, Idle: 10, NetCPUPerRun: 28, RSS: 7}},
		{"idle was not measured", measure.Used{}, 1200, measure.Cost{Part: "worker", CPUPerRun: 30, NetCPUPerRun: 30, RSS: 7}},
		{"no run", idle, 0, measure.Cost{Part: "worker", Idle: 10, RSS: 7}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, measure.CostOf("worker", window, tt.idle, tt.runs, 7)); diff != "" {
				t.Errorf("cost -want +got:\n%s", diff)
			}
		})
	}
}
