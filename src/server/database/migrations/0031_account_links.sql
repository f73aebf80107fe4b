-- Links by which somebody gets in once: an invitation makes an account, a reset gives one another password.
CREATE TABLE account_link (
    id         TEXT    NOT NULL PRIMARY KEY,
    -- SHA-256 of the token in the link.
    token_hash BLOB    NOT NULL UNIQUE,
    -- The account that gets another password; NULL in an invitation, which has the account to be made instead.
    user_id    TEXT    REFERENCES user (id),
    name       TEXT,
    email      TEXT,
    role       TEXT    CHECK (role IN ('admin', 'user')),
    created_by TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    CHECK ((user_id IS NULL) = (name IS NOT NULL AND email IS NOT NULL AND role IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX account_link_of_address ON account_link (email) WHERE email IS NOT NULL AND used_at IS NULL;
