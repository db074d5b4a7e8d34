-- Challenges that were used. From this version on sessions.id begins with page/ where a submit key alone sent it: no
-- id to a node of version 6, which leaves batches with such a session to others while it is replaced, and does not start
-- again.

CREATE TABLE challenges (
    number bytea PRIMARY KEY,          -- the random number in its token
    expires_at bigint NOT NULL,
    hostname text,                     -- of the page that sent the session, in the browser's words
    redeemed_at bigint                 -- when its one answer was given
);
CREATE INDEX challenges_by_time ON challenges (expires_at);
