-- Chats kept for the pages. Ids are UUID v7, so that messages sort by id in the order they came.

CREATE TABLE chat (
    id         TEXT    NOT NULL PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES user (id) ON DELETE CASCADE,
    title      TEXT    NOT NULL,
    -- The model last asked in it.
    model      TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX chat_of_user ON chat (user_id, updated_at);

CREATE TABLE message (
    id         TEXT    NOT NULL PRIMARY KEY,
    chat_id    TEXT    NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    role       TEXT    NOT NULL CHECK (role IN ('user', 'assistant')),
    content    TEXT    NOT NULL,
    model      TEXT,
    created_at INTEGER NOT NULL,
    status     TEXT    NOT NULL CHECK (status IN ('streaming', 'done', 'stopped', 'failed')),
    -- A sentence for the person, when the status is failed.
    error      TEXT,
    -- The row of table generation that says what the answer cost.
    generation TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX message_of_chat ON message (chat_id, id);
CREATE INDEX message_streaming ON message (status) WHERE status = 'streaming';

-- A removed account is kept as a name only; what its person wrote goes with them.
CREATE TRIGGER chats_leave_with_their_user AFTER UPDATE OF deleted_at ON user WHEN NEW.deleted_at IS NOT NULL
BEGIN
    DELETE FROM chat WHERE user_id = NEW.id;
END;
