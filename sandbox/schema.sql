CREATE TABLE IF NOT EXISTS objects (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT NOT NULL UNIQUE,
    kind    TEXT NOT NULL,
    created INTEGER NOT NULL,
    body    TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_payment_intent
    ON objects (kind, json_extract(body, '$.payment_intent'))
    WHERE json_extract(body, '$.payment_intent') IS NOT NULL;

CREATE TABLE IF NOT EXISTS private_facts (
    id   TEXT PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS pending_deliveries (
    event  TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (event, target)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending_by_target ON pending_deliveries (target);

CREATE TABLE IF NOT EXISTS deliveries (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    event   TEXT NOT NULL,
    type    TEXT NOT NULL,
    target  TEXT NOT NULL,
    url     TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at      REAL NOT NULL,
    status  INTEGER,
    error   TEXT,
    answer  TEXT,
    milliseconds INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);

CREATE TABLE IF NOT EXISTS jobs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    due       REAL NOT NULL,
    name      TEXT NOT NULL,
    arguments TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_due ON jobs (due);

CREATE TABLE IF NOT EXISTS idempotency (
    scope       TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    request     TEXT NOT NULL,
    status      INTEGER NOT NULL,
    body        TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS facts (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
