package main

import "testing"

func TestWorkerRefusesALedgerOfAnotherKindAtOnce(t *testing.T) {
	isolate(t)
	_, err := execute(t, "worker", "--ledger", "mysql://user:secret@host/db")
	if want := `--ledger: want "sqlite:PATH", a path or "postgres://…"`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
