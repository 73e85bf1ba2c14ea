package check

import "time"

// MaxAttempts is the most that spec.attempts may ask for.
const MaxAttempts = 10

// Bounds of the attempts that the platform makes fail.
const (
	// firstPause is how long the second retry waits. Each further retry waits twice as long, up to longestPause or the
	// longestShare of the time that is left.
	firstPause   = 5 * time.Second
	longestPause = time.Minute
	longestShare = 20
	// leastAttempt is the least time that must be left for another attempt.
	leastAttempt = time.Second
)

// Attempts decides whether a run that did not succeed gets another attempt: another pod, with the same deadline. A failure
// of the check is confirmed as often as its spec asks. A pod that was refused or disrupted is replaced while there is time.
type Attempts struct {
	// Wanted is how many attempts must fail before the check has failed; 0 means 1.
	Wanted int
	// Failures counts the attempts in which the check ran and failed, InfraFailures those that failed because of the
	// platform.
	Failures, InfraFailures int
	// Refusals counts the attempts in which no container of the check could run, and Disruptions those whose pod the
	// platform took away.
	Refusals, Disruptions int
	// failed is the last conclusion of the Failures, and hindered that of the Refusals and Disruptions.
	failed, hindered Conclusion
}

// Next counts an attempt that has ended. It returns whether another one follows, and after which pause. left is the time
// until the deadline.
func (a *Attempts) Next(conclusion Conclusion, left time.Duration) (pause time.Duration, again bool) {
	if conclusion.Outcome == InfraFailed {
		a.InfraFailures++
	}
	switch {
	case conclusion.Refused:
		a.Refusals++
		a.hindered = conclusion
		pause, again = growing(a.Refusals, left), true
	case conclusion.Outcome == InfraFailed:
		a.Disruptions++
		a.hindered = conclusion
		pause, again = growing(a.Disruptions-1, left), true // the first replacement comes at once
	case conclusion.Outcome == Failed:
		a.Failures++
		a.failed = conclusion
		again = a.Failures < a.Wanted
	}
	if conclusion.Final || left < pause+leastAttempt {
		again = false
	}
	return pause, again
}

// growing is the pause before the nth retry, or 0. It is a share of the time that is left if that is long, so that a long
// run does not make too many attempts. The last retries come sooner, so that they use the time that is left.
func growing(n int, left time.Duration) time.Duration {
	if n == 0 {
		return 0
	}
	pause := min(firstPause<<min(n-1, 30), max(longestPause, left/longestShare))
	return min(pause, max(firstPause, left/2))
}

// Conclude returns how a run ended. last is the conclusion of its last attempt. A success after a failure is flaky. If the
// deadline or the platform ended the last attempt, an earlier failure still counts. If refusals and disruptions took most
// of the time (short), a timeout counts as one of them.
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
	case last.Outcome == TimedOut && a.Refusals+a.Disruptions > 0 && short:
		before = a.hindered
	default:
		return last
	}
	before.Notes = append(before.Notes, "the last attempt was cut short: "+last.Text())
	return before
}
