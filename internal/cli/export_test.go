package cli

// The functions that tests call.
var (
	OutcomeText = outcomeText
	IsTerminal  = isTerminal
	ErrorText   = errorText
)
