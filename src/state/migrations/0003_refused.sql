-- The problem of the newest document is a refusal of the provider's policy.
ALTER TABLE documents ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
