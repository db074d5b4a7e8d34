-- Keys in segments of 1,048,576 sessions, so that a run of new ones goes into a part of bounded size. The rows are made anew
-- from the sessions, some at a time, when the file is opened: indexed says how far that is.

DROP TABLE keys;
CREATE TABLE keys (
    kind INTEGER NOT NULL,             -- 0 of a session, 1 of a user
    segment INTEGER NOT NULL,          -- seq / 1048576
    hash INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (kind, segment, hash, seq)
) WITHOUT ROWID;
UPDATE totals SET indexed = 0;

-- What tells hashes that are in a segment from most others; of segments that get no more keys.
CREATE TABLE key_filters (segment INTEGER PRIMARY KEY, filter BLOB NOT NULL);
