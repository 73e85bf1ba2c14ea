package measure_test

import (
	"testing"
	"time"

	"github.com/khronicle/khronicle/test/scale/measure"
)

func TestQuantiles(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Second // from the last to the first
	}
	tests := []struct {
		name   string
		values []time.Duration
		want   measure.Quantiles
	}{
		{"none", nil, measure.Quantiles{}},
		{"one", []time.Duration{1500 * time.Millisecond}, measure.Quantiles{P50: 1.5, P99: 1.5, Max: 1.5}},
		{"two", []time.Duration{2 * time.Second, time.Second}, measure.Quantiles{P50: 1, P99: 2, Max: 2}},
		{"a hundred", hundred, measure.Quantiles{P50: 50, P99: 99, Max: 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := measure.QuantilesOf(tt.values); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
