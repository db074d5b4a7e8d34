-- Sketches are found by their reaches, which each node looks up in memory, and comparing may come after the verdict. A
-- node of version 4 goes on keeping sketches of its layout and finding those; this one leaves them alone. Sketches of that
-- layout are made anew from telemetry while that is kept.

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
