-- What the overview needs of each check, kept by the transactions that close accounts: the key of its newest closed account,
-- and the counts of all its hours from day_since on, a full hour no later than 24 hours before that account. It then reads a
-- row for each check and not 25.
ALTER TABLE checks ADD COLUMN last_nominal BIGINT;
ALTER TABLE checks ADD COLUMN last_cause SMALLINT;
ALTER TABLE checks ADD COLUMN day_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_succeeded BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_infra_failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_timed_out BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_skipped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_paused BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_missed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_canceled BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_flaky BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_timed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE checks ADD COLUMN day_duration_sum BIGINT NOT NULL DEFAULT 0;

UPDATE checks SET
    last_nominal = (SELECT a.nominal FROM accounts a WHERE a.check_id = checks.id AND a.outcome <> 0
        ORDER BY a.nominal DESC, a.cause DESC LIMIT 1),
    last_cause = (SELECT a.cause FROM accounts a WHERE a.check_id = checks.id AND a.outcome <> 0
        ORDER BY a.nominal DESC, a.cause DESC LIMIT 1);
UPDATE checks SET day_since = last_nominal - 86400000000 - (last_nominal - 86400000000) % 3600000000
    WHERE last_nominal >= 86400000000;
UPDATE checks SET
    day_succeeded = s.succeeded, day_failed = s.failed, day_infra_failed = s.infra_failed, day_timed_out = s.timed_out,
    day_skipped = s.skipped, day_paused = s.paused, day_missed = s.missed, day_canceled = s.canceled,
    day_flaky = s.flaky, day_timed = s.timed, day_duration_sum = s.duration_sum
FROM (SELECT c.id AS id, sum(h.succeeded) AS succeeded, sum(h.failed) AS failed, sum(h.infra_failed) AS infra_failed,
        sum(h.timed_out) AS timed_out, sum(h.skipped) AS skipped, sum(h.paused) AS paused, sum(h.missed) AS missed,
        sum(h.canceled) AS canceled, sum(h.flaky) AS flaky, sum(h.timed) AS timed, sum(h.duration_sum) AS duration_sum
    FROM hourly h JOIN checks c ON c.id = h.check_id WHERE h.hour >= c.day_since GROUP BY c.id) s
WHERE s.id = checks.id;
