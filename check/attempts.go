package check

import "time"

// MaxAttempts is the most that spec.attempts may ask for.
const MaxAttempts = 10

// Bounds of the attempts that the platform spoils.
const (
	// maxRefusals is how many attempts are made at a pod that cannot be created or cannot start.
	maxRefusals = 3
	// firstPause is how long the second repetition waits; each further one waits twice as long, up to longestPause.
	firstPause   = 5 * time.Second
	longestPause = time.Minute
	// leastAttempt is the time below which another attempt is not worth its pod.
	leastAttempt = time.Second
)

// Attempts decides whether a run that did not succeed is tried again, with another pod and before the same deadline. What the
// check itself found is confirmed as often as its spec asks; what the platform spoiled is repeated while there is time.
type Attempts struct {
	// Wanted is how many attempts must fail before the check has failed; 0 means 1.
	Wanted int
	// Failures and InfraFailures count the attempts that the check and that the platform ended.
	Failures, InfraFailures int
	// Refusals are those of InfraFailures that are not disruptions: no pod could be created, or it could not start.
	Refusals int
	// failed and infraFailed are the last conclusion of each kind.
	failed, infraFailed Conclusion
}

// Next counts the outcome of an attempt. It returns whether another follows, and after which pause. Disrupted is true when the
// platform took the pod away, and left is the time until the deadline.
func (a *Attempts) Next(conclusion Conclusion, disrupted bool, left time.Duration) (pause time.Duration, again bool) {
	switch conclusion.Outcome {
	case Failed:
		a.Failures++
		a.failed = conclusion
		again = a.Failures < a.Wanted
	case InfraFailed:
		a.InfraFailures++
		a.infraFailed = conclusion
		if !disrupted {
			a.Refusals++
		}
		again = disrupted || a.Refusals < maxRefusals
		pause = a.pause(disrupted)
	}
	if conclusion.Final || left < pause+leastAttempt {
		again = false
	}
	return pause, again
}

// pause is how long the next attempt waits after one that the platform spoiled. The first pod that was taken away is replaced at
// once.
func (a *Attempts) pause(disrupted bool) time.Duration {
	n := a.Refusals
	if disrupted {
		n = a.InfraFailures - a.Refusals - 1
	}
	if n == 0 {
		return 0
	}
	return min(firstPause<<min(n-1, 8), longestPause)
}

// Outcome is the outcome of the run, whose last attempt ended with last. A success after a failure is flaky. An attempt that
// the deadline or the platform cut short takes back no failure that came before it; and where the platform took most of the time,
// as short says, a timeout is its doing.
func (a *Attempts) Conclude(last Conclusion, short bool) Conclusion {
	before := Conclusion{}
	switch {
	case last.Outcome == Succeeded:
		last.Flaky = a.Failures > 0
		return last
	case last.Outcome != TimedOut && last.Outcome != InfraFailed:
		return last
	case a.Failures > 0:
		before = a.failed
	case last.Outcome == TimedOut && a.InfraFailures > 0 && short:
		before = a.infraFailed
	default:
		return last
	}
	before.Notes = append(before.Notes, "the last attempt was cut short: "+firstOf(last.Errors))
	return before
}

func firstOf(texts []string) string {
	if len(texts) == 0 {
		return "without an error"
	}
	return texts[0]
}
