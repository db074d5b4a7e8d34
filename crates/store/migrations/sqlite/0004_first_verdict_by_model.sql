-- The first verdict may be the embedded model's.

-- What the model said at once of a session that waits for its batch; null where the rules gave the first verdict.
ALTER TABLE sessions ADD COLUMN first_model BLOB;
