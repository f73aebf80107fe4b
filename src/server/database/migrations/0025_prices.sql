-- What a generation costs the client, and everything it is made from. A row is settled once it has ended with a known
-- cost; from then on its numbers stay as they are, and a correction is a row of its own.

-- The model that answered; an alias, a router or a fallback may have chosen another one than was asked for.
ALTER TABLE generation ADD COLUMN answered_model TEXT;
ALTER TABLE generation ADD COLUMN cache_write_tokens INTEGER;
ALTER TABLE generation ADD COLUMN web_searches INTEGER;
-- What tools of the upstream cost; a part of the cost.
ALTER TABLE generation ADD COLUMN tool_cost_nano_usd INTEGER;
ALTER TABLE generation ADD COLUMN purpose TEXT NOT NULL DEFAULT 'answer';
-- 1 where the provider pays the upstream and bills the client; 0 over a connection that an admin of the client entered.
ALTER TABLE generation ADD COLUMN billed INTEGER NOT NULL DEFAULT 1 CHECK (billed IN (0, 1));
-- The markup and the fee for buying credits that the price was made with, in millionths.
ALTER TABLE generation ADD COLUMN markup_ppm INTEGER NOT NULL DEFAULT 1000000;
ALTER TABLE generation ADD COLUMN credit_fee_ppm INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generation ADD COLUMN price_nano_usd INTEGER;
-- Seconds east of Greenwich that the client's clocks were at when it began.
ALTER TABLE generation ADD COLUMN utc_offset INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generation ADD COLUMN settled_at INTEGER;
-- The row that this one corrects.
ALTER TABLE generation ADD COLUMN corrects TEXT;

UPDATE generation SET price_nano_usd = cost_nano_usd,
    settled_at = CASE WHEN status <> 'pending' AND lookup_at IS NULL THEN coalesce(finished_at, started_at) END
    WHERE cost_nano_usd IS NOT NULL;

DROP INDEX generation_of_key;

-- The numbers of each generation, once for its hour and once for its day. An hour is named by its first millisecond, a
-- day by how many days after 1970-01-01 it is, both by the client's clocks. Numbers that no answer has are cut, so that
-- no sum of them overflows.
CREATE VIEW generation_numbers AS
SELECT g.id, span.name AS span,
    CASE span.name
        WHEN 'hour' THEN g.started_at - (g.started_at + g.utc_offset * 1000) % 3600000
        ELSE (g.started_at + g.utc_offset * 1000) / 86400000
    END AS start,
    g.user_id, coalesce(g.api_key_id, '') AS api_key_id, g.model, g.purpose, g.billed,
    iif(g.corrects IS NULL, 1, 0) AS requests,
    min(coalesce(g.prompt_tokens, 0), 1000000000) AS prompt_tokens,
    min(coalesce(g.completion_tokens, 0), 1000000000) AS completion_tokens,
    min(coalesce(g.total_tokens, 0), 2000000000) AS total_tokens,
    min(coalesce(g.reasoning_tokens, 0), 1000000000) AS reasoning_tokens,
    min(coalesce(g.cached_tokens, 0), 1000000000) AS cached_tokens,
    min(coalesce(g.cache_write_tokens, 0), 1000000000) AS cache_write_tokens,
    min(coalesce(g.web_searches, 0), 1000000000) AS web_searches,
    max(min(coalesce(g.cost_nano_usd, 0), 10000000000000), -10000000000000) AS cost_nano_usd,
    max(min(coalesce(g.own_key_cost_nano_usd, 0), 10000000000000), -10000000000000) AS own_key_cost_nano_usd,
    max(min(coalesce(g.price_nano_usd, 0), 1000000000000000), -1000000000000000) AS price_nano_usd,
    iif(g.cost_nano_usd IS NULL AND g.status <> 'pending', 1, 0) AS unknown_cost,
    iif(g.cost_nano_usd IS NULL AND g.unknown_reason IS 'connection_changed', 1, 0) AS unknown_cost_former_connection
FROM generation AS g CROSS JOIN (SELECT 'hour' AS name UNION ALL SELECT 'day') AS span;

-- The sums of those that have ended, kept by the triggers below in the transaction of each change.
CREATE TABLE usage_rollup (
    span               TEXT    NOT NULL CHECK (span IN ('hour', 'day')),
    start              INTEGER NOT NULL,
    user_id            TEXT    NOT NULL,
    -- Empty where none was used.
    api_key_id         TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    purpose            TEXT    NOT NULL,
    billed             INTEGER NOT NULL,
    requests           INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    total_tokens       INTEGER NOT NULL,
    reasoning_tokens   INTEGER NOT NULL,
    cached_tokens      INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    web_searches       INTEGER NOT NULL,
    cost_nano_usd      INTEGER NOT NULL,
    own_key_cost_nano_usd INTEGER NOT NULL,
    price_nano_usd     INTEGER NOT NULL,
    unknown_cost       INTEGER NOT NULL,
    unknown_cost_former_connection INTEGER NOT NULL,
    PRIMARY KEY (span, start, user_id, api_key_id, model, purpose, billed)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_rollup_of_key ON usage_rollup (api_key_id) WHERE api_key_id <> '';

-- The time zone that the offsets and sums were made for. Without a row, they were not made yet.
CREATE TABLE usage_zone (
    only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    name     TEXT    NOT NULL
) STRICT;

CREATE TRIGGER settled_generation_stays BEFORE UPDATE ON generation
WHEN OLD.settled_at IS NOT NULL AND (
    NEW.settled_at IS NOT OLD.settled_at OR NEW.cost_nano_usd IS NOT OLD.cost_nano_usd
    OR NEW.price_nano_usd IS NOT OLD.price_nano_usd OR NEW.own_key_cost_nano_usd IS NOT OLD.own_key_cost_nano_usd
    OR NEW.prompt_tokens IS NOT OLD.prompt_tokens OR NEW.completion_tokens IS NOT OLD.completion_tokens
    OR NEW.total_tokens IS NOT OLD.total_tokens OR NEW.user_id <> OLD.user_id OR NEW.model <> OLD.model
    OR NEW.started_at <> OLD.started_at OR NEW.status <> OLD.status OR NEW.billed <> OLD.billed
)
BEGIN
    SELECT raise(ABORT, 'a settled generation does not change; a correction is a row of its own');
END;

-- What is inserted here is added to the sums, with a sign of -1 taken away from them.
CREATE VIEW usage_change AS SELECT 1 AS sign, * FROM generation_numbers;
CREATE TRIGGER usage_change_is_summed INSTEAD OF INSERT ON usage_change
BEGIN
    INSERT INTO usage_rollup (
        span, start, user_id, api_key_id, model, purpose, billed, requests, prompt_tokens, completion_tokens, total_tokens,
        reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd, own_key_cost_nano_usd,
        price_nano_usd, unknown_cost, unknown_cost_former_connection
    ) VALUES (
        NEW.span, NEW.start, NEW.user_id, NEW.api_key_id, NEW.model, NEW.purpose, NEW.billed, NEW.sign * NEW.requests,
        NEW.sign * NEW.prompt_tokens, NEW.sign * NEW.completion_tokens, NEW.sign * NEW.total_tokens,
        NEW.sign * NEW.reasoning_tokens, NEW.sign * NEW.cached_tokens, NEW.sign * NEW.cache_write_tokens,
        NEW.sign * NEW.web_searches, NEW.sign * NEW.cost_nano_usd, NEW.sign * NEW.own_key_cost_nano_usd,
        NEW.sign * NEW.price_nano_usd, NEW.sign * NEW.unknown_cost, NEW.sign * NEW.unknown_cost_former_connection
    ) ON CONFLICT DO UPDATE SET
        requests = requests + excluded.requests, prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        total_tokens = total_tokens + excluded.total_tokens,
        reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens,
        cached_tokens = cached_tokens + excluded.cached_tokens,
        cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
        web_searches = web_searches + excluded.web_searches, cost_nano_usd = cost_nano_usd + excluded.cost_nano_usd,
        own_key_cost_nano_usd = own_key_cost_nano_usd + excluded.own_key_cost_nano_usd,
        price_nano_usd = price_nano_usd + excluded.price_nano_usd,
        unknown_cost = unknown_cost + excluded.unknown_cost,
        unknown_cost_former_connection = unknown_cost_former_connection + excluded.unknown_cost_former_connection;
END;

CREATE TRIGGER generation_is_summed AFTER INSERT ON generation WHEN NEW.status <> 'pending'
BEGIN
    INSERT INTO usage_change SELECT 1, * FROM generation_numbers WHERE id = NEW.id;
END;
CREATE TRIGGER former_numbers_are_taken_away BEFORE UPDATE OF
    user_id, api_key_id, model, purpose, billed, started_at, utc_offset, corrects, status, prompt_tokens, completion_tokens,
    total_tokens, reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd,
    own_key_cost_nano_usd, price_nano_usd, unknown_reason ON generation
WHEN OLD.status <> 'pending'
BEGIN
    INSERT INTO usage_change SELECT -1, * FROM generation_numbers WHERE id = OLD.id;
END;
CREATE TRIGGER new_numbers_are_summed AFTER UPDATE OF
    user_id, api_key_id, model, purpose, billed, started_at, utc_offset, corrects, status, prompt_tokens, completion_tokens,
    total_tokens, reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd,
    own_key_cost_nano_usd, price_nano_usd, unknown_reason ON generation
WHEN NEW.status <> 'pending'
BEGIN
    INSERT INTO usage_change SELECT 1, * FROM generation_numbers WHERE id = NEW.id;
END;
CREATE TRIGGER removed_numbers_are_taken_away BEFORE DELETE ON generation WHEN OLD.status <> 'pending'
BEGIN
    INSERT INTO usage_change SELECT -1, * FROM generation_numbers WHERE id = OLD.id;
END;

-- The sums, and each generation that runs.
CREATE VIEW usage_numbers AS
SELECT span, start, user_id, api_key_id, model, purpose, billed, requests, prompt_tokens, completion_tokens, total_tokens,
    reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd, own_key_cost_nano_usd,
    price_nano_usd, unknown_cost, unknown_cost_former_connection, 0 AS running
FROM usage_rollup
UNION ALL
SELECT span, start, user_id, api_key_id, model, purpose, billed, requests, prompt_tokens, completion_tokens, total_tokens,
    reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd, own_key_cost_nano_usd,
    price_nano_usd, unknown_cost, unknown_cost_former_connection, 1 AS running
FROM generation_numbers WHERE id IN (SELECT id FROM generation WHERE status = 'pending');
