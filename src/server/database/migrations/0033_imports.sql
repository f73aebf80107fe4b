-- What `mai import` took over, so that a second run changes nothing, with the rows as the other program had them: branches
-- of chats, folders, prompts and the like have no place of their own here.

CREATE TABLE imported (
    -- The program, such as open-webui.
    source      TEXT    NOT NULL,
    -- Its table.
    kind        TEXT    NOT NULL,
    -- The id there.
    external_id TEXT    NOT NULL,
    -- The person here that it belongs to.
    user_id     TEXT,
    -- The id here; NULL where only the original is kept.
    local_id    TEXT,
    -- SHA-256 of the original.
    fingerprint BLOB    NOT NULL,
    -- The time of the last change of a chat when it was taken over: a later one was made here.
    changed_at  INTEGER,
    -- JSON. NULL for accounts, and for what was removed here since.
    original    TEXT,
    imported_at INTEGER NOT NULL,
    PRIMARY KEY (source, kind, external_id)
) STRICT;

CREATE INDEX imported_of_user ON imported (user_id);
CREATE INDEX imported_local ON imported (local_id) WHERE local_id IS NOT NULL;

-- What is removed here is not kept in another place, and does not come back with the next run.
CREATE TRIGGER imported_chat_is_removed AFTER DELETE ON chat
BEGIN
    UPDATE imported SET original = NULL WHERE local_id = OLD.id;
END;
CREATE TRIGGER imported_person_is_removed AFTER UPDATE OF deleted_at ON user WHEN NEW.deleted_at IS NOT NULL
BEGIN
    UPDATE imported SET original = NULL WHERE user_id = NEW.id;
END;
