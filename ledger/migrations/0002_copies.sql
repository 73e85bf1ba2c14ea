-- What a copy of a ledger needs to know. identity is the random name of this ledger. copy_of is the identity of the ledger that
-- these rows are a copy of, as long as nobody else has written here. copy_open is 1 until the copy is complete.
ALTER TABLE totals ADD COLUMN identity TEXT NOT NULL DEFAULT '';
ALTER TABLE totals ADD COLUMN copy_of TEXT;
ALTER TABLE totals ADD COLUMN copy_open SMALLINT NOT NULL DEFAULT 0;
UPDATE totals SET identity = {{new identity}};
