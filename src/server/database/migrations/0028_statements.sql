-- The statement of a closed month. All of it is written in one transaction, its row of `statement` last, and nothing of it
-- changes afterwards. People are named by their ids; names stand in `user` alone.

CREATE TABLE statement (
    -- Such as 2026-11.
    month      TEXT    NOT NULL PRIMARY KEY,
    -- The time zone of its days.
    zone       TEXT    NOT NULL,
    -- Its first and last day, as days after 1970-01-01.
    first_day  INTEGER NOT NULL,
    last_day   INTEGER NOT NULL,
    frozen_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Usage. Generations whose cost was not known are counted in unknown_cost and are in no amount.
CREATE TABLE statement_line (
    month              TEXT    NOT NULL,
    -- The month of the usage: that of the statement, or an earlier one which this corrects by what was settled since.
    period             TEXT    NOT NULL,
    user_id            TEXT    NOT NULL,
    model              TEXT    NOT NULL,
    purpose            TEXT    NOT NULL,
    billed             INTEGER NOT NULL CHECK (billed IN (0, 1)),
    requests           INTEGER NOT NULL,
    prompt_tokens      INTEGER NOT NULL,
    completion_tokens  INTEGER NOT NULL,
    total_tokens       INTEGER NOT NULL,
    cost_nano_usd      INTEGER NOT NULL,
    own_key_cost_nano_usd INTEGER NOT NULL,
    price_nano_usd     INTEGER NOT NULL,
    unknown_cost       INTEGER NOT NULL,
    PRIMARY KEY (month, period, user_id, model, purpose, billed)
) STRICT, WITHOUT ROWID;

CREATE INDEX statement_line_of_period ON statement_line (period);

-- The people who asked a model or signed in, by day (days after 1970-01-01).
CREATE TABLE statement_seat (
    month   TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    user_id TEXT    NOT NULL,
    PRIMARY KEY (month, day, user_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER statement_stays BEFORE UPDATE ON statement
BEGIN SELECT raise(ABORT, 'a statement does not change'); END;
CREATE TRIGGER statement_is_kept BEFORE DELETE ON statement
BEGIN SELECT raise(ABORT, 'a statement is kept'); END;

CREATE TRIGGER statement_line_stays BEFORE UPDATE ON statement_line
BEGIN SELECT raise(ABORT, 'a statement does not change'); END;
CREATE TRIGGER statement_line_is_kept BEFORE DELETE ON statement_line
BEGIN SELECT raise(ABORT, 'a statement is kept'); END;
CREATE TRIGGER statement_line_is_in_time BEFORE INSERT ON statement_line
WHEN EXISTS (SELECT 1 FROM statement WHERE month = NEW.month)
BEGIN SELECT raise(ABORT, 'a statement does not change'); END;

CREATE TRIGGER statement_seat_stays BEFORE UPDATE ON statement_seat
BEGIN SELECT raise(ABORT, 'a statement does not change'); END;
CREATE TRIGGER statement_seat_is_kept BEFORE DELETE ON statement_seat
BEGIN SELECT raise(ABORT, 'a statement is kept'); END;
CREATE TRIGGER statement_seat_is_in_time BEFORE INSERT ON statement_seat
WHEN EXISTS (SELECT 1 FROM statement WHERE month = NEW.month)
BEGIN SELECT raise(ABORT, 'a statement does not change'); END;
