-- Limits of what may be spent in a day or a month, and what running generations may cost at most.

-- What the generation may cost the provider at most; NULL where that is not known. It counts as spent until the cost is known,
-- for a day at most.
ALTER TABLE generation ADD COLUMN reserved_nano_usd INTEGER;
CREATE INDEX generation_reserved ON generation (started_at) WHERE reserved_nano_usd IS NOT NULL AND settled_at IS NULL;

CREATE TABLE budget (
    id             TEXT    NOT NULL PRIMARY KEY,
    scope          TEXT    NOT NULL CHECK (scope IN ('company', 'person', 'key')),
    -- The account or API key; empty for the company, and for each person without a budget of their own.
    subject        TEXT    NOT NULL,
    period         TEXT    NOT NULL CHECK (period IN ('day', 'month')),
    limit_nano_usd INTEGER NOT NULL CHECK (limit_nano_usd >= 0),
    -- 1 where nothing is asked that may exceed it; 0 where people are only warned.
    hard           INTEGER NOT NULL CHECK (hard IN (0, 1)),
    -- What was added for one period alone, and the first day of that.
    raised_nano_usd INTEGER NOT NULL DEFAULT 0,
    raised_for     TEXT,
    updated_at     INTEGER NOT NULL,
    UNIQUE (scope, subject, period)
) STRICT, WITHOUT ROWID;
