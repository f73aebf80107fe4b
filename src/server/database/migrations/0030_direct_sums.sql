-- The sums of a generation that ends are written by triggers of their own: going through two views took as long as all else
-- that is written of it. The expressions are those of generation_numbers, and rows that change or go, which is seldom, still
-- go through the views.
DROP TRIGGER generation_is_summed;
CREATE TRIGGER generation_is_summed AFTER INSERT ON generation WHEN NEW.status <> 'pending'
BEGIN
    INSERT INTO usage_rollup (
        span, start, user_id, api_key_id, model, purpose, billed, requests, prompt_tokens, completion_tokens, total_tokens,
        reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd, own_key_cost_nano_usd,
        price_nano_usd, unknown_cost, unknown_cost_former_connection
    )
    SELECT span.name,
        CASE span.name
            WHEN 'hour' THEN NEW.started_at - (NEW.started_at + NEW.utc_offset * 1000) % 3600000
            ELSE (NEW.started_at + NEW.utc_offset * 1000) / 86400000
        END,
        NEW.user_id, coalesce(NEW.api_key_id, ''), NEW.model, NEW.purpose, NEW.billed,
        iif(NEW.corrects IS NULL, 1, 0),
        min(coalesce(NEW.prompt_tokens, 0), 1000000000),
        min(coalesce(NEW.completion_tokens, 0), 1000000000),
        min(coalesce(NEW.total_tokens, 0), 2000000000),
        min(coalesce(NEW.reasoning_tokens, 0), 1000000000),
        min(coalesce(NEW.cached_tokens, 0), 1000000000),
        min(coalesce(NEW.cache_write_tokens, 0), 1000000000),
        min(coalesce(NEW.web_searches, 0), 1000000000),
        max(min(coalesce(NEW.cost_nano_usd, 0), 10000000000000), -10000000000000),
        max(min(coalesce(NEW.own_key_cost_nano_usd, 0), 10000000000000), -10000000000000),
        max(min(coalesce(NEW.price_nano_usd, 0), 1000000000000000), -1000000000000000),
        iif(NEW.cost_nano_usd IS NULL, 1, 0),
        iif(NEW.cost_nano_usd IS NULL AND NEW.unknown_reason IS 'connection_changed', 1, 0)
    FROM (SELECT 'hour' AS name UNION ALL SELECT 'day') AS span WHERE true
    ON CONFLICT DO UPDATE SET
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

DROP TRIGGER new_numbers_are_summed;
CREATE TRIGGER new_numbers_are_summed AFTER UPDATE OF
    user_id, api_key_id, model, purpose, billed, started_at, utc_offset, corrects, status, prompt_tokens, completion_tokens,
    total_tokens, reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd,
    own_key_cost_nano_usd, price_nano_usd, unknown_reason ON generation
WHEN NEW.status <> 'pending'
BEGIN
    INSERT INTO usage_rollup (
        span, start, user_id, api_key_id, model, purpose, billed, requests, prompt_tokens, completion_tokens, total_tokens,
        reasoning_tokens, cached_tokens, cache_write_tokens, web_searches, cost_nano_usd, own_key_cost_nano_usd,
        price_nano_usd, unknown_cost, unknown_cost_former_connection
    )
    SELECT span.name,
        CASE span.name
            WHEN 'hour' THEN NEW.started_at - (NEW.started_at + NEW.utc_offset * 1000) % 3600000
            ELSE (NEW.started_at + NEW.utc_offset * 1000) / 86400000
        END,
        NEW.user_id, coalesce(NEW.api_key_id, ''), NEW.model, NEW.purpose, NEW.billed,
        iif(NEW.corrects IS NULL, 1, 0),
        min(coalesce(NEW.prompt_tokens, 0), 1000000000),
        min(coalesce(NEW.completion_tokens, 0), 1000000000),
        min(coalesce(NEW.total_tokens, 0), 2000000000),
        min(coalesce(NEW.reasoning_tokens, 0), 1000000000),
        min(coalesce(NEW.cached_tokens, 0), 1000000000),
        min(coalesce(NEW.cache_write_tokens, 0), 1000000000),
        min(coalesce(NEW.web_searches, 0), 1000000000),
        max(min(coalesce(NEW.cost_nano_usd, 0), 10000000000000), -10000000000000),
        max(min(coalesce(NEW.own_key_cost_nano_usd, 0), 10000000000000), -10000000000000),
        max(min(coalesce(NEW.price_nano_usd, 0), 1000000000000000), -1000000000000000),
        iif(NEW.cost_nano_usd IS NULL, 1, 0),
        iif(NEW.cost_nano_usd IS NULL AND NEW.unknown_reason IS 'connection_changed', 1, 0)
    FROM (SELECT 'hour' AS name UNION ALL SELECT 'day') AS span WHERE true
    ON CONFLICT DO UPDATE SET
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
