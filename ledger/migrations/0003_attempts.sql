-- How many of the attempts the platform ended. Accounts from before do not say; what is not known counts as none.
ALTER TABLE accounts ADD COLUMN infra_failures INTEGER NOT NULL DEFAULT 0;
