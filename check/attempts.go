package check

import "time"

// MaxAttempts is the most that spec.attempts may ask for.
const MaxAttempts = 10

// Bounds of the attempts that the platform makes fail.
const (
	// maxRefusals is how many times a run asks for a pod that cannot be created or cannot start.
	maxRefusals = 3
	// firstPause is how long the second retry waits. Each further retry waits twice as long, up to longestPause.
	firstPause   = 5 * time.Second
	longestPause = time.Minute
	// leastAttempt is the least time that must be left for another attempt.
	leastAttempt = time.Second
)

// Attempts decides whether a run that did not succeed gets another attempt: another pod, with the same deadline. A failure
// of the check is confirmed as often as its spec asks. An infrastructure failure is retried while there is time.
type Attempts struct {
	// Wanted is how many attempts must fail before the check has failed; 0 means 1.
	Wanted int
	// Failures counts the attempts that failed because of the check, InfraFailures those that failed because of the
	// platform.
	Failures, InfraFailures int
	// Refusals are those of InfraFailures that are not disruptions: no pod could be created, or it could not start.
	Refusals int
	// failed and infraFailed are the last conclusion of each kind.
	failed, infraFailed Conclusion
}

// Next counts an attempt that has ended. It returns whether another one follows, and after which pause. Disrupted is true
// when the platform removed the pod. left is the time until the deadline.
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

// pause is how long the next attempt waits after an infrastructure failure. A pod that the platform removed is replaced at
// once the first time.
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

// Conclude returns how a run ended. last is the conclusion of its last attempt. A success after a failure is flaky. If the
// deadline or the platform ended the last attempt, an earlier failure still counts. If scheduling and pulling took most of
// the time (short), a timeout counts as the platform's fault.
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
