-- A failed answer keeps a code and the provider's own words, and is worded in the reader's language when it is shown.
-- Rows of earlier versions keep their sentence in `error`, which is not written any more.

-- The code, as the server's table of failures has it.
ALTER TABLE message ADD COLUMN failure TEXT;
-- The HTTP status of a refusal.
ALTER TABLE message ADD COLUMN failure_status INTEGER;
-- The provider's own words, unchanged.
ALTER TABLE message ADD COLUMN failure_words TEXT;
