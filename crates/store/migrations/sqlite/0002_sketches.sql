-- What is kept of movements so that they are known again.

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
