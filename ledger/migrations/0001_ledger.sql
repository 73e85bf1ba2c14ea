-- One text for SQLite and PostgreSQL: keywords in double braces differ and are replaced (dialect.go).
-- Times are microseconds since 1970 in UTC. Outcomes and triggers are the indexes of the lists in record.go.

-- The columns from last_tick on are what the overview needs of each check. The transactions that close records keep
-- them: the key of the newest closed record, and the counts of all hours from day_since on. That is a full hour, no later
-- than 24 hours before the newest closed record. So the overview reads one row for each check, and not 25.
CREATE TABLE checks (
    id               {{identity}},
    uid              TEXT   NOT NULL UNIQUE,
    kind             TEXT   NOT NULL,
    namespace        TEXT   NOT NULL,
    name             TEXT   NOT NULL,
    last_tick        BIGINT,
    last_trigger     SMALLINT,
    day_since        BIGINT NOT NULL DEFAULT 0,
    day_succeeded    BIGINT NOT NULL DEFAULT 0,
    day_failed       BIGINT NOT NULL DEFAULT 0,
    day_infra_failed BIGINT NOT NULL DEFAULT 0,
    day_timed_out    BIGINT NOT NULL DEFAULT 0,
    day_skipped      BIGINT NOT NULL DEFAULT 0,
    day_paused       BIGINT NOT NULL DEFAULT 0,
    day_missed       BIGINT NOT NULL DEFAULT 0,
    day_canceled     BIGINT NOT NULL DEFAULT 0,
    day_flaky        BIGINT NOT NULL DEFAULT 0,
    day_timed        BIGINT NOT NULL DEFAULT 0,
    day_duration_sum BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX checks_by_name ON checks (kind, namespace, name);

-- Texts that many records share: nodes, digests, hashes, builds. A record names each of them by a small number.
CREATE TABLE dictionary (
    id   {{identity}},
    word TEXT NOT NULL UNIQUE
);

-- The *_after columns are microseconds after the tick: small numbers, which SQLite stores in few bytes.
CREATE TABLE records (
    check_id          BIGINT   NOT NULL,
    tick              BIGINT   NOT NULL,
    trigger           SMALLINT NOT NULL,
    outcome           SMALLINT NOT NULL,
    flaky             SMALLINT NOT NULL,
    revision          INTEGER  NOT NULL,
    attempts          INTEGER  NOT NULL,
    infra_failures    INTEGER  NOT NULL,
    deadline_after    BIGINT,
    started_after     BIGINT,
    pod_created_after BIGINT,
    running_after     BIGINT,
    reported_after    BIGINT,
    concluded_after   BIGINT,
    exited_after      BIGINT,
    recorded_after    BIGINT,
    queued            BIGINT,
    duration          BIGINT,
    node              BIGINT,
    image_digest      BIGINT,
    spec_hash         BIGINT,
    worker_build      BIGINT,
    workflow_id       {{bytes}},
    run_id            {{bytes}},
    errors            TEXT,
    notes             TEXT,
    PRIMARY KEY (check_id, tick, trigger)
){{clustered}};
CREATE INDEX records_open ON records (check_id, tick, trigger) WHERE outcome = 0;

-- Evidence names its check by the UID, not by checks.id: it may come before the first record of the check.
CREATE TABLE evidence (
    check_uid TEXT     NOT NULL,
    tick      BIGINT   NOT NULL,
    trigger   SMALLINT NOT NULL,
    kind      TEXT     NOT NULL,
    name      TEXT     NOT NULL,
    size      BIGINT   NOT NULL,
    content   {{bytes}} NOT NULL,
    PRIMARY KEY (check_uid, tick, trigger, kind, name)
);
CREATE INDEX evidence_by_age ON evidence (tick);

-- Hours are read for all checks at once, days for one check at a time: hence the orders of the keys.
CREATE TABLE hourly (
    hour         BIGINT NOT NULL,
    check_id     BIGINT NOT NULL,
    succeeded    BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    infra_failed BIGINT NOT NULL,
    timed_out    BIGINT NOT NULL,
    skipped      BIGINT NOT NULL,
    paused       BIGINT NOT NULL,
    missed       BIGINT NOT NULL,
    canceled     BIGINT NOT NULL,
    flaky        BIGINT NOT NULL,
    timed        BIGINT NOT NULL,
    duration_sum BIGINT NOT NULL,
    duration_max BIGINT NOT NULL,
    PRIMARY KEY (hour, check_id)
){{clustered}};
CREATE TABLE daily (
    day          BIGINT NOT NULL,
    check_id     BIGINT NOT NULL,
    succeeded    BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    infra_failed BIGINT NOT NULL,
    timed_out    BIGINT NOT NULL,
    skipped      BIGINT NOT NULL,
    paused       BIGINT NOT NULL,
    missed       BIGINT NOT NULL,
    canceled     BIGINT NOT NULL,
    flaky        BIGINT NOT NULL,
    timed        BIGINT NOT NULL,
    duration_sum BIGINT NOT NULL,
    duration_max BIGINT NOT NULL,
    PRIMARY KEY (check_id, day)
){{clustered}};

-- One row: the number of records, because to count 130 million takes minutes, and the time up to which some were removed.
CREATE TABLE totals (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    records BIGINT NOT NULL,
    pruned  BIGINT NOT NULL
);
INSERT INTO totals (id, records, pruned) VALUES (1, 0, 0);
