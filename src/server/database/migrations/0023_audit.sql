-- Who did what, when, and from where. Names are those of the accounts, which stay when one is removed.

CREATE TABLE audit (
    id         INTEGER NOT NULL PRIMARY KEY,
    -- The first and the last time, and how often: repeated failures are one row.
    at         INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    count      INTEGER NOT NULL DEFAULT 1,
    action     TEXT    NOT NULL,
    -- Who did it; NULL for strangers and for the server itself.
    user_id    TEXT,
    -- The account that it was done to.
    subject_id TEXT,
    address    TEXT,
    -- The session or the API key that it was done with.
    session    TEXT,
    api_key_id TEXT,
    details    TEXT    NOT NULL DEFAULT '{}',
    -- The rows among which the oldest make room: those of one account, of strangers, or of the server.
    kept_with  TEXT    NOT NULL,
    -- Names a row of repeated failures, so that later ones are added to it.
    sum        TEXT    UNIQUE
) STRICT;

CREATE INDEX audit_kept_with ON audit (kept_with, id);
CREATE INDEX audit_by_time ON audit (last_at);
CREATE INDEX audit_of_user ON audit (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_of_subject ON audit (subject_id, id) WHERE subject_id IS NOT NULL;

-- Codes of the settings of the last start, to tell which have changed. The settings cannot be read from them.
CREATE TABLE audit_configuration (
    setting     TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL
) STRICT, WITHOUT ROWID;
