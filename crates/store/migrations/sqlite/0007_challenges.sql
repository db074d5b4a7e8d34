-- Challenges that were used. From this version on sessions.id begins with page/ where a submit key alone sent it.

CREATE TABLE challenges (
    number BLOB PRIMARY KEY,           -- the random number in its token
    expires_at INTEGER NOT NULL,
    hostname TEXT,                     -- of the page that sent the session, in the browser's words
    redeemed_at INTEGER                -- when its one answer was given
) WITHOUT ROWID;
CREATE INDEX challenges_by_time ON challenges (expires_at);
