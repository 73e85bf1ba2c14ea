-- One text for SQLite and PostgreSQL; words in double braces differ and are replaced (dialect.go).
-- Times are microseconds since 1970 in UTC. Outcomes and triggers are the indexes of the lists in account.go.

CREATE TABLE checks (
    id        {{identity}},
    uid       TEXT NOT NULL UNIQUE,
    kind      TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL
);
CREATE INDEX checks_by_name ON checks (kind, namespace, name);

-- Texts that many accounts share: nodes, digests, hashes, builds. A row of 130 million names them in two bytes.
CREATE TABLE words (
    id   {{identity}},
    word TEXT NOT NULL UNIQUE
);

-- The *_after columns are microseconds after nominal: small numbers, which SQLite keeps in few bytes.
CREATE TABLE accounts (
    check_id          BIGINT   NOT NULL,
    nominal           BIGINT   NOT NULL,
    cause             SMALLINT NOT NULL,
    outcome           SMALLINT NOT NULL,
    flaky             SMALLINT NOT NULL,
    revision          INTEGER  NOT NULL,
    attempts          INTEGER  NOT NULL,
    due_after         BIGINT,
    started_after     BIGINT,
    pod_created_after BIGINT,
    running_after     BIGINT,
    reported_after    BIGINT,
    judged_after      BIGINT,
    exited_after      BIGINT,
    recorded_after    BIGINT,
    duration          BIGINT,
    node              BIGINT,
    image_digest      BIGINT,
    spec_hash         BIGINT,
    worker_build      BIGINT,
    workflow_id       {{bytes}},
    run_id            {{bytes}},
    errors            TEXT,
    notes             TEXT,
    PRIMARY KEY (check_id, nominal, cause)
){{clustered}};
CREATE INDEX accounts_open ON accounts (check_id, nominal, cause) WHERE outcome = 0;

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

-- One row: how many accounts there are, which nobody could count 130 million at a time, and up to when some were removed.
CREATE TABLE totals (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    accounts BIGINT NOT NULL,
    pruned   BIGINT NOT NULL
);
INSERT INTO totals (id, accounts, pruned) VALUES (1, 0, 0);
