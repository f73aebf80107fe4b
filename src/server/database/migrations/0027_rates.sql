-- Exchange rates: złoty for a US dollar, in millionths. A day may have one of each source: of NBP, one that an
-- administrator typed in, and one of the document, which wins.
CREATE TABLE exchange_rate (
    -- The day of the table, such as 2026-11-27.
    date           TEXT    NOT NULL,
    source         TEXT    NOT NULL CHECK (source IN ('nbp', 'manual', 'document')),
    table_number   TEXT    NOT NULL,
    mid_millionths INTEGER NOT NULL CHECK (mid_millionths > 0),
    noted_at       INTEGER NOT NULL,
    PRIMARY KEY (date, source)
) STRICT, WITHOUT ROWID;

-- The rate that a closed month keeps for ever, such as of 2026-10.
CREATE TABLE month_rate (
    month          TEXT    NOT NULL PRIMARY KEY,
    date           TEXT    NOT NULL,
    source         TEXT    NOT NULL CHECK (source IN ('nbp', 'manual', 'document')),
    table_number   TEXT    NOT NULL,
    mid_millionths INTEGER NOT NULL CHECK (mid_millionths > 0),
    frozen_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER month_rate_stays BEFORE UPDATE ON month_rate
BEGIN
    SELECT raise(ABORT, 'the rate of a closed month does not change');
END;
CREATE TRIGGER month_rate_is_kept BEFORE DELETE ON month_rate
BEGIN
    SELECT raise(ABORT, 'the rate of a closed month is kept');
END;
