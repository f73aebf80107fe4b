-- Keys of earlier versions did whatever their owner may do. They go on with models, chats and usage;
-- administration needs a key that was made for it.
ALTER TABLE api_key ADD COLUMN scopes TEXT NOT NULL DEFAULT 'chat usage';
ALTER TABLE api_key ADD COLUMN expires_at INTEGER;

-- When the password was last entered in the session. NULL for sessions of earlier versions.
ALTER TABLE session ADD COLUMN confirmed_at INTEGER;

-- The key that a generation was requested with; it stays when the key is revoked.
ALTER TABLE generation ADD COLUMN api_key_id TEXT;

-- Holds all columns that the spending of a key is read from.
CREATE INDEX generation_of_key ON generation (api_key_id, total_tokens, cost_nano_usd, status)
    WHERE api_key_id IS NOT NULL;
