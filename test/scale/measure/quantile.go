package measure

import (
	"math"
	"slices"
	"time"
)

// Quantiles sum up durations, in seconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// QuantilesOf returns the quantiles of durations in any order. Those of none are zero.
func QuantilesOf(values []time.Duration) Quantiles {
	sorted := slices.Sorted(slices.Values(values))
	return Quantiles{P50: percentile(sorted, 50), P99: percentile(sorted, 99), Max: percentile(sorted, 100)}
}

// percentile is the nearest rank: the smallest value that at least so many percent of the values do not exceed.
func percentile(sorted []time.Duration, percent float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(percent / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1].Seconds()
}
