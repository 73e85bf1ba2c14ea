// Package ledger keeps one account for every due tick of every check, in SQLite or PostgreSQL. An account is opened when
// its run begins and ends in exactly one outcome; the key of the table makes a second row for a tick impossible.
//
// The ledger never decides what an outcome is, never computes which ticks were due and never calls Kubernetes or
// Temporal: it is told. It keeps no secret: what it is given may be shown to whoever may read it.
package ledger
