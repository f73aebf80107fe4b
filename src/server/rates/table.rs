//! The rates that are known, and which of them a month has.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::rate::{MonthRate, Rate, RateBasis, RateSource};
use crate::usage::Month;

/// Days before the last day of a month among which its rate is searched. Tables are missing for a
/// week at most, around Christmas and Easter.
const WINDOW_DAYS: i64 = 10;
/// Days after its end for which a month waits for NBP, before it takes what is known otherwise.
const PATIENCE_DAYS: i64 = 10;

/// The outcome of asking NBP for the days in which the rate of a month is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It has answered, and its tables of these days are known.
    Answered,
    /// It was not reached, or did not answer as documented.
    InVain,
    /// It is not asked: the provider has switched that off.
    Off,
}

/// All rates that are known. Cloning copies them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RateTable {
    /// By day, and among those of a day the one that wins last.
    rates: BTreeMap<(Date, RateSource), Rate>,
    /// The rates of closed months.
    frozen: BTreeMap<Month, Rate>,
}

/// Returns the days in which the rate of a closed month is searched: those before its last day.
pub(super) fn window(month: Month) -> (Date, Date) {
    let last = month.last_day();
    let before = |days: i64| last.checked_sub(days.days()).unwrap_or(last);
    (before(WINDOW_DAYS), before(1))
}

impl RateTable {
    pub(super) fn add(&mut self, rate: Rate) {
        self.rates.insert((rate.date, rate.source), rate);
    }

    pub(super) fn freeze(&mut self, month: Month, rate: Rate) {
        self.frozen.entry(month).or_insert(rate);
    }

    /// Forgets the rates that a former document declared.
    pub(super) fn remove_declared(&mut self) {
        self.rates.retain(|(_, source), _| *source != RateSource::Document);
    }

    pub(super) fn is_frozen(&self, month: Month) -> bool {
        self.frozen.contains_key(&month)
    }

    /// The newest rate that NBP has given.
    pub(super) fn newest_of_nbp(&self) -> Option<Date> {
        self.rates.keys().rev().find(|(_, source)| *source == RateSource::Nbp).map(|(date, _)| *date)
    }

    /// Returns whether a better source than an administrator has given the rate of this day.
    pub(super) fn has_better_than_manual(&self, date: Date) -> bool {
        [RateSource::Nbp, RateSource::Document].iter().any(|source| self.rates.contains_key(&(date, *source)))
    }

    /// The rate of a month, while `current` runs; `None` while nothing is known.
    pub(super) fn for_month(&self, month: Month, current: Month) -> Option<MonthRate> {
        let newest = || self.rates.values().next_back();
        let (basis, rate) = if let Some(frozen) = self.frozen.get(&month) {
            (RateBasis::Frozen, Some(frozen))
        } else if month >= current {
            (RateBasis::Newest, newest())
        } else {
            let before = self.rates.range(..(month.last_day(), RateSource::Manual));
            (RateBasis::Provisional, before.map(|(_, rate)| rate).next_back().or_else(newest))
        };
        rate.map(|rate| MonthRate { month, basis, rate: rate.clone() })
    }

    /// Returns the rate that a month, which was over by `today`, keeps for ever: that of the last
    /// table before its last day. `None` as long as that is not certain.
    pub(super) fn closing_rate(&self, month: Month, today: Date, asked: Asked) -> Option<Rate> {
        let (from, to) = window(month);
        let days = (from, RateSource::Manual)..=(to, RateSource::Document);
        let last = |may: &dyn Fn(RateSource) -> bool| {
            self.rates.range(days.clone()).map(|(_, rate)| rate).rfind(|rate| may(rate.source)).cloned()
        };
        let first_day = month.next().first_day();
        let patience_ends = first_day.checked_add(PATIENCE_DAYS.days()).unwrap_or(first_day);
        if let Some(declared) = last(&|source| source == RateSource::Document) {
            return Some(declared);
        }
        let of_nbp = if asked == Asked::Answered { last(&|source| source == RateSource::Nbp) } else { None };
        let may_guess = asked == Asked::Off || today >= patience_ends;
        of_nbp.or_else(|| last(&|_| true).filter(|_| may_guess))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rate(source: RateSource, date: &str) -> Rate {
        Rate::parse(source, date, "3.8", "1/A/NBP/2026").unwrap()
    }

    fn table(rates: &[(RateSource, &str)]) -> RateTable {
        let mut table = RateTable::default();
        rates.iter().for_each(|(source, date)| table.add(rate(*source, date)));
        table
    }

    fn month(text: &str) -> Month {
        text.parse().unwrap()
    }

    #[test]
    fn closed_month_takes_the_last_table_before_its_last_day() {
        use RateSource::{Document, Manual, Nbp};
        let (october, early, late) = ("2026-10", "2026-11-01", "2026-11-11");
        for (rates, today, asked, expected) in [
            // The last day of October 2026 is a Saturday.
            (&[(Nbp, "2026-10-29"), (Nbp, "2026-10-30")][..], early, Asked::Answered, Some("2026-10-30")),
            // The table of the last day itself, and later ones, are not those of the month.
            (
                &[(Nbp, "2026-10-30"), (Nbp, "2026-10-31"), (Nbp, "2026-11-02")],
                late,
                Asked::Answered,
                Some("2026-10-30"),
            ),
            (&[(Nbp, "2026-10-21")], early, Asked::Answered, Some("2026-10-21")),
            (&[(Nbp, "2026-10-20")], late, Asked::Answered, None),
            (&[], late, Asked::Answered, None),
            (&[(Manual, "2026-10-30")], early, Asked::Answered, None),
            (&[(Manual, "2026-10-30")], late, Asked::Answered, Some("2026-10-30")),
            (&[(Nbp, "2026-10-29"), (Manual, "2026-10-30")], early, Asked::Answered, Some("2026-10-29")),
            (&[(Nbp, "2026-10-30"), (Document, "2026-10-28")], early, Asked::InVain, Some("2026-10-28")),
            // Without an answer it waits, and then takes what is known.
            (&[(Nbp, "2026-10-28")], early, Asked::InVain, None),
            (&[(Nbp, "2026-10-28")], late, Asked::InVain, Some("2026-10-28")),
            (&[(Manual, "2026-10-30")], late, Asked::InVain, Some("2026-10-30")),
            (&[(Manual, "2026-10-30")], early, Asked::Off, Some("2026-10-30")),
            (&[(Manual, "2026-10-15")], late, Asked::Off, None),
        ] {
            let found = table(rates).closing_rate(month(october), today.parse().unwrap(), asked);
            assert_eq!(found.map(|rate| rate.date.to_string()).as_deref(), expected, "{rates:?} {today} {asked:?}");
        }
    }

    #[test]
    fn month_has_its_frozen_rate_or_the_last_known_one() {
        let mut table = table(&[(RateSource::Nbp, "2026-10-29"), (RateSource::Nbp, "2026-11-27")]);
        let found = |table: &RateTable, of: &str| {
            let rate = table.for_month(month(of), month("2026-11"))?;
            Some((rate.basis, rate.rate.date.to_string()))
        };
        assert_eq!(found(&table, "2026-11"), Some((RateBasis::Newest, "2026-11-27".to_owned())));
        assert_eq!(found(&table, "2026-10"), Some((RateBasis::Provisional, "2026-10-29".to_owned())));
        assert_eq!(found(&table, "2026-09"), Some((RateBasis::Provisional, "2026-11-27".to_owned())));
        table.freeze(month("2026-10"), rate(RateSource::Nbp, "2026-10-30"));
        table.freeze(month("2026-10"), rate(RateSource::Nbp, "2026-10-28"));
        assert_eq!(found(&table, "2026-10"), Some((RateBasis::Frozen, "2026-10-30".to_owned())));
        assert_eq!(found(&RateTable::default(), "2026-11"), None);
    }
}
