-- Full-text search over titles and messages. A row of `search_entry` stands for one text, and its number is what the
-- index knows it by: an explicit key, which a copy of the database keeps. The words are folded by the server, so the
-- triggers only note which texts have to be indexed; the server indexes them in the same transaction, and at its
-- start those that are left, such as all texts of an earlier version.

CREATE TABLE search_entry (
    number     INTEGER PRIMARY KEY,
    -- Of a message, or of a chat for its title.
    id         TEXT    NOT NULL UNIQUE,
    chat_id    TEXT    NOT NULL,
    -- 1 as long as the index does not have the text as it is now.
    is_pending INTEGER NOT NULL CHECK (is_pending IN (0, 1))
) STRICT;

CREATE INDEX search_entry_pending ON search_entry (is_pending, number) WHERE is_pending = 1;

-- It holds which words occur where, and no text. Each entry has its owner as a word as well. Prefixes of one and two
-- letters, of which most entries have all, have lists of their own.
CREATE VIRTUAL TABLE search_index USING fts5 (
    words, content = '', contentless_delete = 1, detail = none, prefix = '1 2', tokenize = 'ascii'
);

INSERT INTO search_entry (id, chat_id, is_pending) SELECT id, id, 1 FROM chat WHERE title <> '' ORDER BY id;
INSERT INTO search_entry (id, chat_id, is_pending) SELECT id, chat_id, 1 FROM message ORDER BY id;

-- An answer is indexed when it has ended: it is saved twice a second while it is written.
CREATE TRIGGER message_is_searchable AFTER INSERT ON message WHEN NEW.status <> 'streaming'
BEGIN
    INSERT INTO search_entry (id, chat_id, is_pending) VALUES (NEW.id, NEW.chat_id, 1)
        ON CONFLICT (id) DO UPDATE SET is_pending = 1;
END;
CREATE TRIGGER message_is_searchable_anew AFTER UPDATE OF content, status ON message WHEN NEW.status <> 'streaming'
BEGIN
    INSERT INTO search_entry (id, chat_id, is_pending) VALUES (NEW.id, NEW.chat_id, 1)
        ON CONFLICT (id) DO UPDATE SET is_pending = 1;
END;
CREATE TRIGGER title_is_searchable AFTER INSERT ON chat WHEN NEW.title <> ''
BEGIN
    INSERT INTO search_entry (id, chat_id, is_pending) VALUES (NEW.id, NEW.id, 1)
        ON CONFLICT (id) DO UPDATE SET is_pending = 1;
END;
CREATE TRIGGER title_is_searchable_anew AFTER UPDATE OF title ON chat WHEN NEW.title <> OLD.title
BEGIN
    INSERT INTO search_entry (id, chat_id, is_pending) VALUES (NEW.id, NEW.id, 1)
        ON CONFLICT (id) DO UPDATE SET is_pending = 1;
END;
CREATE TRIGGER message_leaves_the_search AFTER DELETE ON message
BEGIN
    DELETE FROM search_index WHERE rowid = (SELECT number FROM search_entry WHERE id = OLD.id);
    DELETE FROM search_entry WHERE id = OLD.id;
END;
CREATE TRIGGER title_leaves_the_search AFTER DELETE ON chat
BEGIN
    DELETE FROM search_index WHERE rowid = (SELECT number FROM search_entry WHERE id = OLD.id);
    DELETE FROM search_entry WHERE id = OLD.id;
END;
