-- Sketches are found by their reaches, which are looked up in memory, and comparing may come after the verdict. Sketches
-- of the layout before are made anew from telemetry while that is kept.

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
