-- Costs are kept in billionths of a US dollar: many answers of a small model cost less than a millionth each, and would
-- add up to nothing. A cost that no answer has is unknown.
ALTER TABLE generation ADD COLUMN cost_nano_usd INTEGER;
UPDATE generation SET cost_nano_usd = cost_micro_usd * 1000 WHERE cost_micro_usd BETWEEN 0 AND 10000000000;
ALTER TABLE generation DROP COLUMN cost_micro_usd;
-- What the provider charged besides to the client's own key with it.
ALTER TABLE generation ADD COLUMN own_key_cost_nano_usd INTEGER;
-- Millionths, rounded, for whoever reads the database itself.
ALTER TABLE generation ADD COLUMN cost_micro_usd INTEGER GENERATED ALWAYS AS ((cost_nano_usd + 500) / 1000) VIRTUAL;
