-- What webhooks were told: one row, once they were told something.
CREATE TABLE notified (
    id       INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    notified TEXT    NOT NULL -- JSON
) STRICT;
