-- What is kept of movements so that they are known again. A node of version 1 that removes a session leaves its sketch,
-- which is found by nobody: a candidate is one of a session that is there.

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
