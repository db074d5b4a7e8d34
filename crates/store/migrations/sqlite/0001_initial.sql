-- Timestamps are Unix milliseconds. sessions holds everything but the telemetry: its rows are small and sit side by
-- side in order of acceptance, so claiming and settling a batch touches a handful of pages however many there are.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- One row: the counts by state and the scheduler's state, updated in the transaction that changes them.
CREATE TABLE totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    ready INTEGER NOT NULL, leased INTEGER NOT NULL, delayed INTEGER NOT NULL,
    processed INTEGER NOT NULL, failed INTEGER NOT NULL,
    erased INTEGER NOT NULL, pruned INTEGER NOT NULL, accepted INTEGER NOT NULL,
    running INTEGER NOT NULL, created_at INTEGER NOT NULL, last_batch INTEGER,
    indexed INTEGER NOT NULL           -- every session up to this one has its row in keys
);

CREATE TABLE sessions (
    seq INTEGER PRIMARY KEY,
    id_hash INTEGER NOT NULL,          -- keyed hash of (deployment, id)
    deployment TEXT NOT NULL,
    id TEXT NOT NULL,
    user TEXT,
    game TEXT NOT NULL,
    device TEXT NOT NULL,
    digest BLOB NOT NULL,
    features BLOB NOT NULL,            -- feature set v1, little-endian f64
    accepted_at INTEGER NOT NULL,
    latency_ms REAL NOT NULL,
    reasons INTEGER NOT NULL,          -- heuristic rules that hold, one bit each
    first_decision INTEGER NOT NULL,
    first_confidence REAL NOT NULL,
    first_score REAL NOT NULL,
    state INTEGER NOT NULL,            -- 0 ready, 1 leased, 2 delayed, 3 processed, 4 failed
    attempts INTEGER NOT NULL,
    lost_leases INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    batch INTEGER,                     -- the last batch it was in
    finished_at INTEGER,
    telemetry INTEGER,                 -- null while unfinished; then 1 kept, 2 kept longer, 0 pruned
    error TEXT
);
CREATE INDEX sessions_ready ON sessions (seq) WHERE state = 0;
-- The time of acceptance is in it so that those that waited too long are told apart without reading their rows.
CREATE INDEX sessions_delayed ON sessions (not_before, seq, accepted_at) WHERE state = 2;
CREATE INDEX sessions_failed ON sessions (seq) WHERE state = 4;
CREATE INDEX sessions_finished ON sessions (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX sessions_telemetry ON sessions (telemetry, finished_at) WHERE telemetry > 0;

-- Sessions by the keyed hashes of their key and of their user; written in sorted runs, behind the sessions.
CREATE TABLE keys (
    hash INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (hash, seq)
) WITHOUT ROWID;

CREATE TABLE telemetry (
    session INTEGER PRIMARY KEY,
    record BLOB NOT NULL               -- compact record
);

CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    UNIQUE (name, version)
);

CREATE TABLE results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session INTEGER NOT NULL UNIQUE,   -- written once
    deployment TEXT NOT NULL,
    scored_at INTEGER NOT NULL,
    decision INTEGER NOT NULL,
    confidence REAL NOT NULL,
    score REAL,
    raw REAL,
    kind INTEGER NOT NULL,
    extrapolated INTEGER NOT NULL,
    source INTEGER NOT NULL,
    model INTEGER NOT NULL,
    class TEXT NOT NULL,
    reasons INTEGER NOT NULL,
    fallback INTEGER NOT NULL,
    batch INTEGER,
    attempts INTEGER NOT NULL
);
CREATE INDEX results_by_time ON results (scored_at);
CREATE INDEX results_by_decision ON results (decision, scored_at);
CREATE INDEX results_by_deployment ON results (deployment, scored_at) WHERE deployment <> '';

CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trigger_kind INTEGER NOT NULL,
    size INTEGER NOT NULL,
    members TEXT NOT NULL,             -- JSON list of seq
    owner TEXT NOT NULL,
    source INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    finished_at INTEGER,
    outcome INTEGER,
    attempts INTEGER,
    detector_ms REAL,
    error TEXT,
    agreement_rows INTEGER,            -- null without a shadow's answer
    agreement_rank REAL,
    agreement_flips INTEGER
);
CREATE INDEX batches_open ON batches (id) WHERE finished_at IS NULL;
CREATE INDEX batches_finished ON batches (finished_at) WHERE finished_at IS NOT NULL;

-- What detectors learned; few and large, so with row ids.
CREATE TABLE memory (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

-- Erased keys: a keyed hash, never the identifier.
CREATE TABLE erased (
    mac BLOB PRIMARY KEY,
    erased_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX erased_by_time ON erased (erased_at);
