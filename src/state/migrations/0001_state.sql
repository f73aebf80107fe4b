-- One row for every instance ever accepted: the last good document, and what Kubernetes would keep in its metadata.
CREATE TABLE documents (
    namespace        TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    uid              TEXT    NOT NULL UNIQUE,
    generation       INTEGER NOT NULL,
    resource_version INTEGER NOT NULL,
    document         TEXT    NOT NULL, -- JSON, defaults filled in
    file             TEXT,
    problem          TEXT,             -- what is wrong with the newest document, when it is broken
    created_at       INTEGER NOT NULL, -- Unix milliseconds, as all times here
    deleted_at       INTEGER,          -- the document is gone, the workload not yet
    released_at      INTEGER,          -- the workload is gone too; the row stays, so that data finds its secrets again
    PRIMARY KEY (namespace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE statuses (
    uid    TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE memories (
    uid    TEXT NOT NULL PRIMARY KEY,
    memory TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE generated_secrets (
    uid     TEXT NOT NULL,
    purpose TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (uid, purpose)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id         INTEGER PRIMARY KEY,
    namespace  TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('Normal', 'Warning')),
    reason     TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    count      INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
) STRICT;
CREATE INDEX events_of_an_instance ON events (namespace, name, last_seen);

CREATE TABLE problems (
    position INTEGER NOT NULL PRIMARY KEY,
    problem  TEXT    NOT NULL -- JSON
) STRICT;
