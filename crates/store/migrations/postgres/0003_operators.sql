-- What operators and analysts decide, and how decisions changed since. A node of version 2 knows none of it.

-- What a decision follows from beside thresholds; null in results of earlier versions, which keep theirs.
ALTER TABLE results ADD COLUMN supported float8, ADD COLUMN noted bigint, ADD COLUMN surely_replayed boolean;

-- Small things that operators made, as JSON: thresholds, keys, overrides, webhooks.
CREATE TABLE controls (
    kind text COLLATE "C" NOT NULL,
    name bytea NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (kind, name)
);
-- One row: grows with every change of them.
CREATE TABLE controls_version (id int PRIMARY KEY CHECK (id = 1), version bigint NOT NULL);
INSERT INTO controls_version VALUES (1, 0);

-- What was managed, each entry bound to the one before by its hash. Entries are numbered without a gap.
CREATE TABLE audit (
    id bigint PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,               -- digest of the key, never the key
    action text NOT NULL,
    target text NOT NULL,              -- a keyed hash where it is a session or a user
    detail text NOT NULL,              -- JSON
    hash bytea NOT NULL
);

-- Decisions that were changed, the oldest first; results hold the present one.
CREATE TABLE revisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    cause smallint NOT NULL,           -- 0 thresholds, 1 model, 2 label, 3 override
    earlier smallint NOT NULL,         -- decision before
    later smallint NOT NULL,           -- decision after
    detail text NOT NULL               -- JSON
);
CREATE INDEX revisions_session ON revisions (seq);
CREATE INDEX revisions_by_time ON revisions (at, id);

-- What people said of sessions.
CREATE TABLE labels (
    seq bigint PRIMARY KEY,
    label smallint NOT NULL,           -- 0 human, 1 bot
    note bytea NOT NULL,
    actor text NOT NULL,
    at bigint NOT NULL
);
CREATE INDEX labels_by_time ON labels (at, seq);

-- What webhooks are to be told, and were. Ids of sessions are looked up when a delivery leaves.
CREATE TABLE deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,               -- 0 once the session is erased
    target text NOT NULL,              -- keyed hash of the session's key once it is erased
    kind smallint NOT NULL,            -- 0 verdict.final, 1 verdict.changed, 2 test
    body text NOT NULL,                -- JSON without the session's key; emptied by erasure
    created_at bigint NOT NULL,
    state smallint NOT NULL,           -- 0 waiting, 1 delivered, 2 given up, 3 erased
    attempts int NOT NULL,
    not_before bigint NOT NULL,
    finished_at bigint,
    status int,
    error text
);
CREATE INDEX deliveries_due ON deliveries (webhook, not_before, id) WHERE state = 0;
CREATE INDEX deliveries_order ON deliveries (webhook, seq, id) WHERE state = 0;
CREATE INDEX deliveries_session ON deliveries (seq);
CREATE INDEX deliveries_log ON deliveries (webhook, id);
CREATE INDEX deliveries_by_time ON deliveries (created_at);
