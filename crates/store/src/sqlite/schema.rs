//! The embedded store's schema, its version and the steps that bring an older file up to date.

use rusqlite::Connection;

use crate::StoreError;
use crate::sqlite::fault::Fault;

/// The version that this program writes, kept in the file's `user_version`.
pub(super) const VERSION: i64 = 7;

/// One entry per version: what turns a file of the version before into it.
const STEPS: [&str; 7] = [V1, V2, V3, V4, V5, V6, V7];

/// Timestamps are Unix milliseconds. `sessions` holds everything but the telemetry: its rows are small and sit side by
/// side in order of acceptance, so claiming and settling a batch touches a handful of pages however many there are.
const V1: &str = "
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
";

/// What is kept of movements so that they are known again.
const V2: &str = "
CREATE TABLE sketches (
    session INTEGER PRIMARY KEY,
    sketch BLOB NOT NULL               -- says its keys
);
-- Sketches by their keys, as signed numbers of 32 bits; written in sorted runs, behind the sketches.
CREATE TABLE sketch_keys (
    key INTEGER NOT NULL,
    session INTEGER NOT NULL,
    PRIMARY KEY (key, session)
) WITHOUT ROWID;
-- Sketches whose rows in sketch_keys are not all written.
CREATE TABLE sketches_waiting (session INTEGER PRIMARY KEY);
-- Sessions that a result names as having the same movement.
CREATE TABLE matches (
    session INTEGER NOT NULL,
    place INTEGER NOT NULL,
    other INTEGER NOT NULL,
    PRIMARY KEY (session, place)
) WITHOUT ROWID;
CREATE INDEX matches_other ON matches (other);
-- Of a batch's failed sessions: the largest adjusted p-value, and of how many.
ALTER TABLE batches ADD COLUMN adjusted_p REAL;
ALTER TABLE batches ADD COLUMN adjusted_of INTEGER;
";

/// What operators and analysts decide, and how decisions changed since.
const V3: &str = "
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
";

/// The first verdict may be the embedded model's.
const V4: &str = "
-- What the model said at once of a session that waits for its batch; null where the rules gave the first verdict.
ALTER TABLE sessions ADD COLUMN first_model BLOB;
";

/// Sketches are found by their reaches, which are looked up in memory, and comparing may come after the verdict. Sketches
/// of the layout before are made anew from telemetry while that is kept.
const V5: &str = "
-- SettleCounts sessions that are still to be compared with others.
CREATE TABLE uncompared (
    session INTEGER PRIMARY KEY,
    since INTEGER NOT NULL,
    only_sketch INTEGER NOT NULL       -- compared before; its sketch alone is missing
);
INSERT INTO uncompared SELECT k.session, s.accepted_at, 1 FROM sketches k
    JOIN sessions s ON s.seq = k.session JOIN telemetry t ON t.session = k.session WHERE s.state = 3;
DELETE FROM sketches;
DROP TABLE sketch_keys;
DROP TABLE sketches_waiting;
";

/// Sessions alike are one campaign.
const V6: &str = "
CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    deployment TEXT NOT NULL,
    members INTEGER NOT NULL,
    last INTEGER NOT NULL,             -- its latest member
    told INTEGER NOT NULL,             -- the largest step of growth that webhooks were told of
    merged_into INTEGER                -- the campaign that its members are in now
);
CREATE INDEX campaigns_by_last ON campaigns (last, id);
CREATE INDEX campaigns_merged ON campaigns (merged_into) WHERE merged_into IS NOT NULL;
CREATE TABLE campaign_members (
    session INTEGER PRIMARY KEY,
    campaign INTEGER NOT NULL
);
CREATE INDEX campaign_members_by_campaign ON campaign_members (campaign, session);
-- The campaign that the session was labelled with; null where it was labelled alone.
ALTER TABLE labels ADD COLUMN campaign INTEGER;
";

/// Challenges that were used. From this version on `sessions.id` begins with `page/` where a submit key alone sent it.
const V7: &str = "
CREATE TABLE challenges (
    number BLOB PRIMARY KEY,           -- the random number in its token
    expires_at INTEGER NOT NULL,
    hostname TEXT,                     -- of the page that sent the session, in the browser's words
    redeemed_at INTEGER                -- when its one answer was given
) WITHOUT ROWID;
CREATE INDEX challenges_by_time ON challenges (expires_at);
";

/// The version of the file; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<i64, Fault> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings the file to [`VERSION`]; each step is one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    let found = version(connection)?;
    if found > VERSION {
        return Err(StoreError::Newer { found, known: VERSION }.into());
    }
    for (step, target) in STEPS.iter().zip(1..).skip(usize::try_from(found).unwrap_or(0)) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", target)?;
        transaction.commit()?;
    }
    Ok(())
}
