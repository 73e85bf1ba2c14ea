package activities

// AccountOf is the account of a run that is due.
var AccountOf = accountOf
