-- What a result was when its session was scored: thresholds, decision and what it followed from, which later revisions do
-- not change. Null in results of earlier versions.
ALTER TABLE results ADD COLUMN scored BLOB;
-- The thresholds that held when the session was found to be like others after its verdict.
ALTER TABLE results ADD COLUMN compared BLOB;
