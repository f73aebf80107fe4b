-- Budgets in złoty. Where there is a rate, the amounts are those in groszy, and those in dollars are what they were worth
-- when the budget was set.
ALTER TABLE budget ADD COLUMN limit_groszy INTEGER;
ALTER TABLE budget ADD COLUMN raised_groszy INTEGER NOT NULL DEFAULT 0;
-- Złoty for one US dollar when the budget was set, in millionths; NULL for a budget in dollars.
ALTER TABLE budget ADD COLUMN pln_rate_millionths INTEGER CHECK (pln_rate_millionths IS NULL OR limit_groszy IS NOT NULL);
