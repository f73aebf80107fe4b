-- People of the client, their sessions and API keys, and the server's settings.
-- Times are milliseconds since the Unix epoch. Ids are UUID v7 as text.

CREATE TABLE user (
    id             TEXT    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,
    email          TEXT    NOT NULL COLLATE NOCASE,
    role           TEXT    NOT NULL CHECK (role IN ('admin', 'user')),
    password_hash  TEXT    NOT NULL,
    locale         TEXT,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    last_active_at INTEGER,
    -- A removed account stays as a name for the usage it caused; nothing else of it does.
    deleted_at     INTEGER
) STRICT, WITHOUT ROWID;

-- An address is taken by the living only, so that a removed person can be invited again.
CREATE UNIQUE INDEX user_email_of_the_living ON user (email) WHERE deleted_at IS NULL;

CREATE TABLE session (
    -- SHA-256 of the token; the token itself is never stored.
    token_hash   BLOB    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_of_user ON session (user_id);

CREATE TABLE api_key (
    id           TEXT    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    -- SHA-256 of the key; the key itself is shown once and never stored.
    key_hash     BLOB    NOT NULL UNIQUE,
    -- The last four characters, to tell keys apart.
    hint         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX api_key_of_user ON api_key (user_id);

CREATE TABLE setting (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
