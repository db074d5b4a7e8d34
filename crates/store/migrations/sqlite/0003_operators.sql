-- What operators and analysts decide, and how decisions changed since.

-- What a decision follows from beside thresholds; null in results of earlier versions, which keep theirs.
ALTER TABLE results ADD COLUMN supported REAL;
ALTER TABLE results ADD COLUMN noted INTEGER;
ALTER TABLE results ADD COLUMN surely_replayed INTEGER;

-- Small things that operators made, as JSON: thresholds, keys, overrides, webhooks.
CREATE TABLE controls (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;
-- One row: grows with every change of them.
CREATE TABLE controls_version (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL);
INSERT INTO controls_version VALUES (1, 0);

-- What was managed, each entry bound to the one before by its hash.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,               -- digest of the key, never the key
    action TEXT NOT NULL,
    target TEXT NOT NULL,              -- a keyed hash where it is a session or a user
    detail TEXT NOT NULL,              -- JSON
    hash BLOB NOT NULL
);

-- Decisions that were changed, the oldest first; results hold the present one.
CREATE TABLE revisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cause INTEGER NOT NULL,            -- 0 thresholds, 1 model, 2 label, 3 override
    earlier INTEGER NOT NULL,          -- decision before
    later INTEGER NOT NULL,            -- decision after
    detail TEXT NOT NULL               -- JSON
);
CREATE INDEX revisions_session ON revisions (session);
CREATE INDEX revisions_by_time ON revisions (at);

-- What people said of sessions.
CREATE TABLE labels (
    session INTEGER PRIMARY KEY,
    label INTEGER NOT NULL,            -- 0 human, 1 bot
    note TEXT NOT NULL,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX labels_by_time ON labels (at, session);

-- What webhooks are to be told, and were. Ids of sessions are looked up when a delivery leaves.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL,
    session INTEGER NOT NULL,          -- 0 once it is erased
    target TEXT NOT NULL,              -- keyed hash of the session's key once it is erased
    kind INTEGER NOT NULL,             -- 0 verdict.final, 1 verdict.changed, 2 test, 3 campaign.opened, 4 campaign.grown
    body TEXT NOT NULL,                -- JSON without the session's key; emptied by erasure
    created_at INTEGER NOT NULL,
    state INTEGER NOT NULL,            -- 0 waiting, 1 delivered, 2 given up, 3 erased
    attempts INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    finished_at INTEGER,
    status INTEGER,
    error TEXT
);
CREATE INDEX deliveries_due ON deliveries (webhook, not_before, id) WHERE state = 0;
CREATE INDEX deliveries_order ON deliveries (webhook, session, id) WHERE state = 0;
CREATE INDEX deliveries_session ON deliveries (session);
CREATE INDEX deliveries_log ON deliveries (webhook, id);
CREATE INDEX deliveries_by_time ON deliveries (created_at);
