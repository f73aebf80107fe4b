-- The ledger: one row for each generation asked of an upstream, whoever asked and however it ended.
-- Rows stay when the person or the chat they belong to is removed, so they refer to neither.
-- A count or a cost that is NULL is unknown, which is not zero.

CREATE TABLE generation (
    id               TEXT    NOT NULL PRIMARY KEY,
    -- The upstream's own id; what the cost of an answer that was cut off is asked by.
    generation_id    TEXT,
    user_id          TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    provider         TEXT,
    started_at       INTEGER NOT NULL,
    finished_at      INTEGER,
    status           TEXT    NOT NULL CHECK (status IN ('pending', 'completed', 'cancelled', 'failed', 'interrupted')),
    streamed         INTEGER NOT NULL CHECK (streamed IN (0, 1)),
    prompt_tokens    INTEGER,
    completion_tokens INTEGER,
    total_tokens     INTEGER,
    reasoning_tokens INTEGER,
    cached_tokens    INTEGER,
    -- Millionths of a US dollar.
    cost_micro_usd   INTEGER,
    -- Where tokens and cost come from: the answer itself, or the upstream's record of it.
    source           TEXT    CHECK (source IN ('usage', 'generation')),
    via              TEXT    NOT NULL CHECK (via IN ('api', 'page')),
    chat_id          TEXT,
    -- When the upstream is next asked for its record, and how often it was.
    lookup_at        INTEGER,
    lookup_tries     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX generation_by_upstream_id ON generation (generation_id) WHERE generation_id IS NOT NULL;
CREATE INDEX generation_by_time ON generation (started_at);
CREATE INDEX generation_of_user ON generation (user_id, started_at);
CREATE INDEX generation_to_look_up ON generation (lookup_at) WHERE lookup_at IS NOT NULL;
CREATE INDEX generation_pending ON generation (status) WHERE status = 'pending';
