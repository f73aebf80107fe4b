-- A generation is looked up at the connection it was sent over, and nowhere else: elsewhere its id may be somebody else's.
-- A keyed hash of base URL and key; NULL for an Ollama, and in rows of earlier versions.
ALTER TABLE generation ADD COLUMN connection TEXT;
-- Why the cost is not known (yet): the upstream has no record of it, did not answer for a week, or gave the id of another
-- generation; or the connection is not in use any more.
ALTER TABLE generation ADD COLUMN unknown_reason TEXT
    CHECK (unknown_reason IN ('no_record', 'no_answer', 'id_of_another', 'connection_changed'));
-- Two upstreams may give the same id.
DROP INDEX generation_by_upstream_id;
CREATE UNIQUE INDEX generation_by_upstream_id ON generation (connection, generation_id) WHERE generation_id IS NOT NULL;
