-- Times are Unix milliseconds of the database's clock, hours are those divided by 3,600,000. Text that clients chose is
-- kept as bytes: it may hold what a database's text cannot. sessions is the key table and is never updated; the
-- queue's moves happen in queue, which holds unfinished and failed sessions only, so that claims cost the same
-- however many are finished.

CREATE TABLE meta (name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);

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
    id text COLLATE "C" NOT NULL,
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
CREATE INDEX results_by_deployment ON results (deployment, scored_at, seq) WHERE deployment <> '\x';

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
