package activities

import "time"

// AccountOf is the account of a run that is due.
var AccountOf = accountOf

// WaitForAccounts sets how long ticks wait for the account of a run, and how often they look.
func WaitForAccounts(within, every time.Duration) { accountWithin, lookEvery = within, every }

// TicksProgress is how far ticks are entered, and Span is the time of a run.
type (
	TicksProgress = ticksProgress
	Span          = span
)
