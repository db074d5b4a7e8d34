-- The first verdict may be the embedded model's. A node of version 3 takes it for the rules', with the model's score, and
-- asks its detector about the session as about any other.

-- What the model said at once of a session that waits for its batch; null where the rules gave the first verdict.
ALTER TABLE sessions ADD COLUMN first_model bytea;
