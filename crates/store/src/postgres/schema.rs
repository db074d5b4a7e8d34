//! The shared store's schema, its version and the steps that bring an older database up to date.
//!
//! Steps expand first: what a node of the version before needs stays as it was, so nodes are replaced one by one. A step
//! that breaks the version before says so in [`Step::oldest`].

use tokio_postgres::Client;

use super::fault::Fault;
use crate::StoreError;

/// One version: what turns a database of the version before into it.
struct Step {
    /// The oldest version of this program that can work with it.
    oldest: i64,
    sql: &'static str,
}

/// Every version, the first one first.
const STEPS: [Step; 7] = [
    Step { oldest: 1, sql: V1 },
    Step { oldest: 1, sql: V2 },
    Step { oldest: 1, sql: V3 },
    Step { oldest: 1, sql: V4 },
    Step { oldest: 1, sql: V5 },
    Step { oldest: 1, sql: V6 },
    Step { oldest: 7, sql: V7 },
];

/// The version that this program writes.
pub(super) const VERSION: i64 = 7;

/// Who holds this advisory lock migrates; everybody else waits.
const LOCK: i64 = 0x706c_6179_7072;

/// Rows of counters. A transaction moves the counts of one row, that of its connection, so that nodes don't wait for
/// each other; the counts are the sums.
pub(super) const SHARDS: i32 = 64;

/// Times are Unix milliseconds of the database's clock, hours are those divided by 3,600,000. Text that clients chose is
/// kept as bytes: it may hold what a database's text cannot. `sessions` is the key table and is never updated; the
/// queue's moves happen in `queue`, which holds unfinished and failed sessions only, so that claims cost the same
/// however many are finished.
const V1: &str = "
CREATE TABLE meta (name text COLLATE \"C\" PRIMARY KEY, value bytea NOT NULL);

CREATE TABLE scheduler (
    id int PRIMARY KEY CHECK (id = 1),
    running boolean NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE counters (
    shard int PRIMARY KEY,
    ready bigint NOT NULL DEFAULT 0, leased bigint NOT NULL DEFAULT 0, delayed bigint NOT NULL DEFAULT 0,
    processed bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0,
    erased bigint NOT NULL DEFAULT 0, pruned bigint NOT NULL DEFAULT 0, accepted bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0);

CREATE SEQUENCE session_seq;

CREATE TABLE sessions (
    seq bigint PRIMARY KEY,
    accepted_at bigint NOT NULL,
    user_hash bigint,                  -- keyed hash of the user
    latency_ms float8 NOT NULL,
    reasons bigint NOT NULL,           -- heuristic rules that hold, one bit each
    first_confidence float8 NOT NULL,
    first_score float8 NOT NULL,
    hour int NOT NULL,                 -- of its telemetry's partition
    first_decision smallint NOT NULL,
    id text COLLATE \"C\" NOT NULL,
    deployment bytea NOT NULL,
    digest bytea NOT NULL,
    game bytea NOT NULL,
    device bytea NOT NULL,
    user_id bytea,
    features bytea NOT NULL            -- feature set v1, little-endian f64
);
CREATE UNIQUE INDEX sessions_key ON sessions (id, deployment);
CREATE INDEX sessions_user ON sessions (user_hash) WHERE user_hash IS NOT NULL;

CREATE TABLE queue (
    seq bigint PRIMARY KEY,
    accepted_at bigint NOT NULL,
    not_before bigint NOT NULL,
    batch bigint,                      -- the last batch it was in
    finished_at bigint,
    attempts int NOT NULL,
    lost_leases int NOT NULL,
    state smallint NOT NULL,           -- 0 ready, 1 leased, 2 delayed, 4 failed
    telemetry boolean NOT NULL DEFAULT true,
    error text
) WITH (fillfactor = 70, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.02,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queue_ready ON queue (seq) WHERE state = 0;
CREATE INDEX queue_delayed ON queue (not_before, seq, accepted_at) WHERE state = 2;
CREATE INDEX queue_failed ON queue (seq) WHERE state = 4;
CREATE INDEX queue_finished ON queue (finished_at) WHERE finished_at IS NOT NULL;

-- The bulk: compact records, by the hour of acceptance, so that old ones go by dropping a partition.
CREATE TABLE telemetry (
    seq bigint NOT NULL,
    hour int NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (hour, seq)
) PARTITION BY RANGE (hour);
ALTER TABLE telemetry ALTER COLUMN record SET STORAGE EXTERNAL;
CREATE TABLE telemetry_default PARTITION OF telemetry DEFAULT WITH (toast_tuple_target = 8160);

-- Records that outlive their partition: of sessions that were reviewed or failed, or finished late.
CREATE TABLE telemetry_kept (
    seq bigint PRIMARY KEY,
    finished_at bigint NOT NULL,
    flagged boolean NOT NULL,
    record bytea NOT NULL
) WITH (toast_tuple_target = 8160);
ALTER TABLE telemetry_kept ALTER COLUMN record SET STORAGE EXTERNAL;
CREATE INDEX telemetry_kept_age ON telemetry_kept (flagged, finished_at);

CREATE TABLE models (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name bytea NOT NULL,
    version bytea NOT NULL,
    UNIQUE (name, version)
);

CREATE TABLE results (
    seq bigint PRIMARY KEY,            -- written once
    scored_at bigint NOT NULL,
    batch bigint,
    confidence float8 NOT NULL,
    score float8,
    raw float8,
    reasons bigint NOT NULL,
    not_before bigint NOT NULL,
    model int NOT NULL,
    attempts int NOT NULL,
    lost_leases int NOT NULL,
    decision smallint NOT NULL,
    kind smallint NOT NULL,
    source smallint NOT NULL,
    extrapolated boolean NOT NULL,
    fallback boolean NOT NULL,
    class text NOT NULL,
    deployment bytea NOT NULL
);
CREATE INDEX results_by_time ON results (scored_at, seq);
CREATE INDEX results_by_decision ON results (decision, scored_at, seq);
CREATE INDEX results_by_deployment ON results (deployment, scored_at, seq) WHERE deployment <> '\\x';

CREATE TABLE batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token bigint NOT NULL,             -- fences its lease
    lease_ms bigint NOT NULL,
    expires_at bigint NOT NULL,
    pending bigint[] NOT NULL,         -- members that are not settled yet
    members bigint[] NOT NULL,
    trigger_kind smallint NOT NULL,
    owner text NOT NULL,
    source smallint NOT NULL,
    claimed_at bigint NOT NULL,
    finished_at bigint,
    outcome smallint,
    attempts int,
    detector_ms float8,
    error text,
    agreement_rows int,                -- null without a shadow's answer
    agreement_rank float8,
    agreement_flips int
) WITH (fillfactor = 80);
CREATE INDEX batches_open ON batches (expires_at) WHERE finished_at IS NULL;
CREATE INDEX batches_finished ON batches (finished_at) WHERE finished_at IS NOT NULL;

-- What detectors learned.
CREATE TABLE memory (name bytea PRIMARY KEY, value bytea NOT NULL);
ALTER TABLE memory ALTER COLUMN value SET STORAGE EXTERNAL;

-- Erased keys: a keyed hash, never the identifier.
CREATE TABLE erased (mac bytea PRIMARY KEY, erased_at bigint NOT NULL);
CREATE INDEX erased_by_time ON erased (erased_at);

-- Who is alive.
CREATE TABLE nodes (
    id text PRIMARY KEY,
    version text NOT NULL,
    address text NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL,
    draining boolean NOT NULL
) WITH (fillfactor = 50);

-- How far retention went through the results of each class.
CREATE TABLE retention (flagged boolean PRIMARY KEY, scored_at bigint NOT NULL);
";

/// What is kept of movements so that they are known again. A node of version 1 that removes a session leaves its sketch,
/// which is found by nobody: a candidate is one of a session that is there.
const V2: &str = "
CREATE TABLE sketches (
    seq bigint PRIMARY KEY,
    sketch bytea NOT NULL              -- says its keys
);
CREATE TABLE sketch_keys (
    key int NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (key, seq)
);
-- Sessions that a result names as having the same movement.
CREATE TABLE matches (
    seq bigint NOT NULL,
    other bigint NOT NULL,
    place smallint NOT NULL,
    PRIMARY KEY (seq, place)
);
CREATE INDEX matches_other ON matches (other);
-- Of a batch's failed sessions: the largest adjusted p-value, and of how many.
ALTER TABLE batches ADD COLUMN adjusted_p float8, ADD COLUMN adjusted_of int;
";

/// What operators and analysts decide, and how decisions changed since. A node of version 2 knows none of it.
const V3: &str = "
-- What a decision follows from beside thresholds; null in results of earlier versions, which keep theirs.
ALTER TABLE results ADD COLUMN supported float8, ADD COLUMN noted bigint, ADD COLUMN surely_replayed boolean;

-- Small things that operators made, as JSON: thresholds, keys, overrides, webhooks.
CREATE TABLE controls (
    kind text COLLATE \"C\" NOT NULL,
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
    webhook text COLLATE \"C\" NOT NULL,
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
";

/// The first verdict may be the embedded model's. A node of version 3 takes it for the rules', with the model's score, and
/// asks its detector about the session as about any other.
const V4: &str = "
-- What the model said at once of a session that waits for its batch; null where the rules gave the first verdict.
ALTER TABLE sessions ADD COLUMN first_model bytea;
";

/// Sketches are found by their reaches, which each node looks up in memory, and comparing may come after the verdict. A
/// node of version 4 goes on keeping sketches of its layout and finding those; this one leaves them alone. Sketches of that
/// layout are made anew from telemetry while that is kept.
const V5: &str = "
-- The transaction that kept the sketch: nodes follow each other's by it. Null in those of version 4.
ALTER TABLE sketches ADD COLUMN kept xid8;
ALTER TABLE sketches ALTER COLUMN kept SET DEFAULT pg_current_xact_id();
CREATE INDEX sketches_kept ON sketches (kept, seq) WHERE kept IS NOT NULL;
-- SettleCounts sessions that are still to be compared with others.
CREATE TABLE uncompared (
    seq bigint PRIMARY KEY,
    since bigint NOT NULL,
    taken_until bigint NOT NULL DEFAULT 0,  -- a node is at it
    only_sketch boolean NOT NULL DEFAULT false  -- compared before; its sketch alone is missing
) WITH (autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0.02);
INSERT INTO uncompared (seq, since, only_sketch) SELECT k.seq, r.scored_at, true FROM sketches k
    JOIN results r ON r.seq = k.seq;
";

/// Sessions alike are one campaign. A node of version 5 leaves what it finds out of campaigns, and members that it erases
/// behind in them, where they name nobody.
const V6: &str = "
CREATE SEQUENCE campaign_id;
CREATE TABLE campaigns (
    id bigint PRIMARY KEY,
    deployment bytea NOT NULL,
    members bigint NOT NULL,
    last bigint NOT NULL,              -- its latest member
    told bigint NOT NULL,              -- the largest step of growth that webhooks were told of
    merged_into bigint                 -- the campaign that its members are in now
) WITH (fillfactor = 50);
CREATE INDEX campaigns_by_last ON campaigns (last, id);
CREATE INDEX campaigns_merged ON campaigns (merged_into) WHERE merged_into IS NOT NULL;
CREATE TABLE campaign_members (
    seq bigint PRIMARY KEY,
    campaign bigint NOT NULL
);
CREATE INDEX campaign_members_by_campaign ON campaign_members (campaign, seq);
-- The campaign that the session was labelled with; null where it was labelled alone.
ALTER TABLE labels ADD COLUMN campaign bigint;
";

/// Challenges that were used. From this version on `sessions.id` begins with `page/` where a submit key alone sent it: no
/// id to a node of version 6, which leaves batches with such a session to others while it is replaced, and does not start
/// again.
const V7: &str = "
CREATE TABLE challenges (
    number bytea PRIMARY KEY,          -- the random number in its token
    expires_at bigint NOT NULL,
    hostname text,                     -- of the page that sent the session, in the browser's words
    redeemed_at bigint                 -- when its one answer was given
);
CREATE INDEX challenges_by_time ON challenges (expires_at);
";

/// The version of the database and the oldest version of this program that can work with it; `None` when it is empty.
pub(super) async fn version(client: &Client) -> Result<Option<(i64, i64)>, Fault> {
    let there: bool = client
        .query_one("SELECT to_regclass(quote_ident(current_schema()) || '.schema_version') IS NOT NULL", &[])
        .await?
        .get(0);
    if !there {
        return Ok(None);
    }
    let row = client.query_opt("SELECT version, oldest FROM schema_version", &[]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

/// Refuses a database that this program cannot work with.
pub(super) fn check(found: Option<(i64, i64)>) -> Result<(), Fault> {
    match found {
        Some((version, oldest)) if oldest > VERSION => Err(StoreError::Newer { found: version, known: VERSION }.into()),
        _ => Ok(()),
    }
}

/// Brings the database to [`VERSION`], one transaction a step, while nobody else does. The versions before and after.
pub(super) async fn migrate(client: &mut Client, autostart: bool, now: Option<i64>) -> Result<(i64, i64), Fault> {
    // Other nodes may be at it for longer than a statement may take otherwise.
    client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
    let lock = "SELECT pg_advisory_lock($1 # hashtextextended(current_schema(), 0))";
    client.execute(lock, &[&LOCK]).await?;
    let outcome = steps(client, autostart, now).await;
    // A connection that ends gives the lock back as well.
    client.execute("SELECT pg_advisory_unlock($1 # hashtextextended(current_schema(), 0))", &[&LOCK]).await?;
    outcome
}

async fn steps(client: &mut Client, autostart: bool, now: Option<i64>) -> Result<(i64, i64), Fault> {
    let found = version(client).await?;
    check(found)?;
    let before = found.map_or(0, |(version, _)| version);
    for (step, target) in STEPS.iter().zip(1i64..).skip(usize::try_from(before).unwrap_or(0)) {
        let transaction = client.transaction().await?;
        transaction.batch_execute(step.sql).await?;
        if target == 1 {
            fill(&transaction, autostart, now).await?;
        }
        transaction.execute("UPDATE schema_version SET version = $1, oldest = $2", &[&target, &step.oldest]).await?;
        transaction.commit().await?;
    }
    Ok((before, before.max(VERSION)))
}

/// What a new store starts with.
async fn fill(transaction: &tokio_postgres::Transaction<'_>, autostart: bool, now: Option<i64>) -> Result<(), Fault> {
    let mut secret = [0u8; 32];
    rand::fill(&mut secret);
    transaction
        .batch_execute(
            "CREATE TABLE schema_version (version bigint NOT NULL, oldest bigint NOT NULL); \
        INSERT INTO schema_version VALUES (0, 0)",
        )
        .await?;
    transaction.execute("INSERT INTO meta (name, value) VALUES ('secret', $1)", &[&secret.as_slice()]).await?;
    let created = format!("INSERT INTO scheduler VALUES (1, $1, {})", super::pool::now("$2"));
    transaction.execute(&created, &[&autostart, &now]).await?;
    transaction.execute("INSERT INTO counters (shard) SELECT generate_series(0, $1 - 1)", &[&SHARDS]).await?;
    Ok(())
}
