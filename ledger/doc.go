// Package ledger stores one record of every tick and run of every check, in SQLite or PostgreSQL. A record is opened when
// its run begins and ends in exactly one outcome. The key of the table makes a second row for a tick impossible.
//
// The ledger never decides what an outcome is, never computes which ticks were due and never calls Kubernetes or
// Temporal: its callers do. It hides no secret: whoever may read the database may see each text that is stored.
package ledger
