package check_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/khronicle/khronicle/check"
)

// ended is the conclusion of an attempt.
func ended(word string) check.Conclusion {
	return map[string]check.Conclusion{
		"ok":       {Outcome: check.Succeeded},
		"failed":   {Outcome: check.Failed, Errors: []string{"broken"}, Reported: true},
		"final":    {Outcome: check.Failed, Errors: []string{"bad spec"}, Final: true},
		"refused":  {Outcome: check.InfraFailed, Errors: []string{"no image"}, Refused: true},
		"lacking":  {Outcome: check.Failed, Errors: []string{"no secret"}, Refused: true},
		"never":    {Outcome: check.InfraFailed, Errors: []string{"name is taken"}, Final: true},
		"evicted":  {Outcome: check.InfraFailed, Errors: []string{"pod deleted expectedly"}},
		"late":     {Outcome: check.TimedOut, Errors: []string{"no report"}},
		"canceled": {Outcome: check.Canceled},
	}[word]
}

func TestAttempts(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name        string
		wanted      int
		words       []string        // how the attempts end, in turn
		pauses      []time.Duration // before each attempt but the first
		outcome     check.Outcome
		errors      []string
		flaky       bool
		failed      int
		infraFailed int
		long        bool // the last attempt had more than half of the time
	}{
		{name: "success", words: []string{"ok"}, outcome: check.Succeeded},
		{name: "a failure is final by default", words: []string{"failed"}, outcome: check.Failed, errors: []string{"broken"}, failed: 1},
		{
			name: "a failure that is confirmed", wanted: 3, words: []string{"failed", "failed", "failed"},
			pauses: []time.Duration{0, 0}, outcome: check.Failed, errors: []string{"broken"}, failed: 3,
		},
		{
			name: "a failure that is not confirmed", wanted: 3, words: []string{"failed", "ok"}, pauses: []time.Duration{0},
			outcome: check.Succeeded, flaky: true, failed: 1,
		},
		{name: "a spec that is not valid", wanted: 3, words: []string{"final"}, outcome: check.Failed, errors: []string{"bad spec"}, failed: 1},
		{
			name: "evictions are repeated without an end but the deadline", words: []string{"evicted", "evicted", "evicted", "evicted", "ok"},
			pauses: []time.Duration{0, 5 * s, 10 * s, 20 * s}, outcome: check.Succeeded, infraFailed: 4,
		},
		{
			name: "refusals are repeated without an end but the deadline", words: []string{"refused", "refused", "refused", "refused", "refused", "refused", "ok"},
			pauses: []time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s}, outcome: check.Succeeded, infraFailed: 6,
		},
		{
			name: "what the spec lacks is repeated too, and is no flake", words: []string{"lacking", "lacking", "ok"},
			pauses: []time.Duration{5 * s, 10 * s}, outcome: check.Succeeded,
		},
		{
			name: "what the spec lacks is none of the failures that are confirmed", wanted: 2, words: []string{"lacking", "failed", "failed"},
			pauses: []time.Duration{5 * s, 0}, outcome: check.Failed, errors: []string{"broken"}, failed: 2,
		},
		{
			name: "a timeout after a refusal is the refusal's", words: []string{"lacking", "late"}, pauses: []time.Duration{5 * s},
			outcome: check.Failed, errors: []string{"no secret"},
		},
		{
			name: "pauses of refusals and of evictions grow apart", words: []string{"evicted", "evicted", "refused", "refused", "evicted", "ok"},
			pauses: []time.Duration{0, 5 * s, 5 * s, 10 * s, 10 * s}, outcome: check.Succeeded, infraFailed: 5,
		},
		{name: "what can never start", words: []string{"never"}, outcome: check.InfraFailed, errors: []string{"name is taken"}, infraFailed: 1},
		{
			name: "the platform's failures are none of the check's", wanted: 2, words: []string{"evicted", "failed", "evicted", "ok"},
			pauses: []time.Duration{0, 0, 5 * s}, outcome: check.Succeeded, flaky: true, failed: 1, infraFailed: 2,
		},
		{
			name: "a timeout does not take a failure back", wanted: 2, words: []string{"failed", "late"}, pauses: []time.Duration{0},
			outcome: check.Failed, errors: []string{"broken"}, failed: 1,
		},
		{
			name: "nor does the platform", wanted: 2, words: []string{"failed", "never"}, pauses: []time.Duration{0},
			outcome: check.Failed, errors: []string{"broken"}, failed: 1, infraFailed: 1,
		},
		{
			name: "a timeout after an eviction is the platform's", words: []string{"evicted", "late"}, pauses: []time.Duration{0},
			outcome: check.InfraFailed, errors: []string{"pod deleted expectedly"}, infraFailed: 1,
		},
		{
			name: "a timeout well after an eviction is the check's", words: []string{"evicted", "late"}, pauses: []time.Duration{0}, long: true,
			outcome: check.TimedOut, errors: []string{"no report"}, infraFailed: 1,
		},
		{name: "a timeout", wanted: 3, words: []string{"late"}, outcome: check.TimedOut, errors: []string{"no report"}},
		{name: "canceled", wanted: 3, words: []string{"failed", "canceled"}, pauses: []time.Duration{0}, outcome: check.Canceled, failed: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tries := check.Attempts{Wanted: tt.wanted}
			var pauses []time.Duration
			var conclusion check.Conclusion
			for i, word := range tt.words {
				last := ended(word)
				pause, again := tries.Next(last, time.Hour)
				if again == (i == len(tt.words)-1) {
					t.Fatalf("after attempt %d: again is %t", i+1, again)
				}
				if again {
					pauses = append(pauses, pause)
				}
				conclusion = tries.Conclude(last, !tt.long)
			}
			if diff := cmp.Diff(tt.pauses, pauses); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
			if conclusion.Outcome != tt.outcome || conclusion.Flaky != tt.flaky || fmt.Sprint(conclusion.Errors) != fmt.Sprint(tt.errors) {
				t.Errorf("conclusion is %+v, want %s %q, flaky: %t", conclusion, tt.outcome, tt.errors, tt.flaky)
			}
			if tries.Failures != tt.failed || tries.InfraFailures != tt.infraFailed {
				t.Errorf("counted %d failures and %d of the platform, want %d and %d", tries.Failures, tries.InfraFailures, tt.failed, tt.infraFailed)
			}
		})
	}
}

func TestNoAttemptWithoutTimeForIt(t *testing.T) {
	for _, tt := range []struct {
		word string
		left time.Duration
		want bool
	}{
		{"failed", 2 * time.Second, true},
		{"failed", 500 * time.Millisecond, false},
		{"failed", -time.Second, false},
		{"evicted", 2 * time.Second, true},
		{"refused", 7 * time.Second, true},
		{"refused", 5 * time.Second, false},
	} {
		tries := check.Attempts{Wanted: 2}
		if _, again := tries.Next(ended(tt.word), tt.left); again != tt.want {
			t.Errorf("%s with %s left: again is %t", tt.word, tt.left, again)
		}
	}
}

// Runs of any length have room for retries to the end, and none has thousands of attempts.
func TestRetriesUseTheTimeThatIsLeft(t *testing.T) {
	for _, timeout := range []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute, 24 * time.Hour} {
		for _, word := range []string{"refused", "evicted"} {
			const attemptTakes = 2 * time.Second
			var tries check.Attempts
			left, attempts := timeout-attemptTakes, 1
			for {
				pause, again := tries.Next(ended(word), left)
				if !again {
					break
				}
				if pause < 0 || pause > max(time.Minute, left/20) {
					t.Fatalf("%s of %s: pause of %s with %s left", word, timeout, pause, left)
				}
				left -= pause + attemptTakes
				attempts++
			}
			if left > 8*time.Second || attempts > 150 {
				t.Errorf("%s of %s: %d attempts, and %s left at the end", word, timeout, attempts, left)
			}
		}
	}
}
