-- How many of the attempts the platform ended. Accounts from before do not say; what is not known counts as none.
ALTER TABLE accounts ADD COLUMN infra_failures INTEGER NOT NULL DEFAULT 0;

-- Finds the account of a run that has something to tell: its ID costs 40 bytes, so passes, which are nearly all, have none.
CREATE INDEX accounts_by_run ON accounts (workflow_id)
    WHERE outcome = 2 OR outcome = 3 OR outcome = 4 OR flaky = 1 OR revision > 0;
