package ledger_test

func writeUntilKilled(string) int { return 0 }
