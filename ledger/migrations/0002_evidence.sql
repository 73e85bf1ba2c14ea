-- Keyed by the UID, not by checks.id: evidence may come before the first account of its check.
CREATE TABLE evidence (
    check_uid TEXT     NOT NULL,
    nominal   BIGINT   NOT NULL,
    cause     SMALLINT NOT NULL,
    kind      TEXT     NOT NULL,
    name      TEXT     NOT NULL,
    size      BIGINT   NOT NULL,
    content   {{bytes}} NOT NULL,
    PRIMARY KEY (check_uid, nominal, cause, kind, name)
);
CREATE INDEX evidence_by_age ON evidence (nominal);
