//! Compares the ledger of an instance with the bill of the upstream. Pure: no I/O, no clock.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use mai_contract::{BilledDay, BilledDays};

use crate::openrouter::{ActivityRow, NanoUsd};

/// Time after the end of a day until its bill is taken for complete.
const SETTLING: SignedDuration = SignedDuration::from_hours(6);
/// Differences up to a thousandth of a cent are those of rounding.
const ROUNDING: i64 = 10_000;
/// Most differences that are told one by one.
const MOST: usize = 10;

/// The comparison of a ledger with the bill of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The last day (UTC) that was compared.
    pub through: Date,
    /// Charged by the upstream without being in the ledger; negative where the ledger has more.
    pub unattributed: NanoUsd,
    /// Days and models whose costs differ, the largest differences first.
    pub differences: Vec<Difference>,
    /// Number of further ones.
    pub further: usize,
}

/// Costs of a day and a model that differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The day (UTC).
    pub day: Date,
    /// The model.
    pub model: String,
    /// Cost in the ledger.
    pub ledger: NanoUsd,
    /// Cost on the bill.
    pub upstream: NanoUsd,
}

impl Difference {
    fn unattributed(&self) -> i64 {
        self.upstream.get().saturating_sub(self.ledger.get())
    }
}

impl Bill {
    /// Compares the days that are over, and that began after the oldest of the keys was made: before
    /// it, another key was charged. Returns nothing if there is no such day.
    ///
    /// A bill that already tells of today is compared up to today; that of OpenRouter does not.
    pub fn new(activity: &[ActivityRow], ledger: &BilledDays, oldest_key: Timestamp, now: Timestamp) -> Option<Self> {
        let day_of = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
        let today = day_of(now);
        let tells_today = activity.iter().any(|row| row.date == today);
        let last_settled = day_of(now - SETTLING).yesterday().ok()?;
        let through = if tells_today { today } else { last_settled };
        let first_known = today.checked_sub(i64::from(BilledDays::COMPLETED).days()).ok()?;
        let first_of_keys = if tells_today { day_of(oldest_key) } else { day_of(oldest_key).tomorrow().ok()? };
        let days = first_known.max(first_of_keys)..=through;
        if days.is_empty() {
            return None;
        }
        let mut costs: BTreeMap<(Date, &str), (i64, i64)> = BTreeMap::new();
        for row in activity.iter().filter(|row| days.contains(&row.date)) {
            let upstream = &mut costs.entry((row.date, &row.model)).or_default().1;
            *upstream = upstream.saturating_add(row.usage.map_or(0, NanoUsd::get));
        }
        for billed in ledger.days.iter().filter(|billed| days.contains(&billed.day)) {
            let ledger = &mut costs.entry((billed.day, billed_model(activity, billed))).or_default().0;
            *ledger = ledger.saturating_add(billed.cost_nano_usd);
        }
        let mut differences: Vec<Difference> = costs
            .into_iter()
            .map(|((day, model), (ledger, upstream))| Difference {
                day,
                model: model.to_owned(),
                ledger: NanoUsd::new(ledger),
                upstream: NanoUsd::new(upstream),
            })
            .filter(|difference| difference.unattributed().saturating_abs() > ROUNDING)
            .collect();
        let unattributed = differences.iter().map(|difference| NanoUsd::new(difference.unattributed())).sum();
        differences.sort_by_key(|difference| std::cmp::Reverse(difference.unattributed().saturating_abs()));
        let further = differences.len().saturating_sub(MOST);
        differences.truncate(MOST);
        Some(Self { through, unattributed, differences, further })
    }
}

/// Returns the name that the bill has for a model of the ledger: an answer may name its version, and a
/// request a variant such as `:nitro`.
fn billed_model<'a>(activity: &'a [ActivityRow], billed: &'a BilledDay) -> &'a str {
    let of_day = || activity.iter().filter(|row| row.date == billed.day);
    let plain = billed.model.split_once(':').map_or(billed.model.as_str(), |(plain, _)| plain);
    let is_named = |row: &&ActivityRow, name: &str| row.model == name || row.model_permaslug.as_deref() == Some(name);
    let found = of_day().find(|row| is_named(row, &billed.model)).or_else(|| of_day().find(|row| is_named(row, plain)));
    found.map_or(billed.model.as_str(), |row| row.model.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-30T12:00:00Z";
    const MADE: &str = "2026-11-01T12:00:00Z";

    fn activity(rows: &[(&str, &str, f64)]) -> Vec<ActivityRow> {
        let row = |(date, model, usage): &(&str, &str, f64)| {
            let slug = format!("{model}-20260901");
            serde_json::from_str(
                &json!({"date": date, "model": model, "model_permaslug": slug, "usage": usage}).to_string(),
            )
            .unwrap()
        };
        rows.iter().map(row).collect()
    }

    fn ledger(rows: &[(&str, &str, i64)]) -> BilledDays {
        let day = |(day, model, cost): &(&str, &str, i64)| BilledDay {
            day: day.parse().unwrap(),
            model: (*model).to_owned(),
            requests: 1,
            cost_nano_usd: *cost,
        };
        BilledDays { days: rows.iter().map(day).collect() }
    }

    fn compare(bill: &[(&str, &str, f64)], books: &[(&str, &str, i64)], made: &str, now: &str) -> Option<Bill> {
        Bill::new(&activity(bill), &ledger(books), made.parse().unwrap(), now.parse().unwrap())
    }

    #[test]
    fn equal_costs_differ_in_nothing_whatever_a_model_is_called() {
        let bill = [("2026-11-28", "a/b", 0.25), ("2026-11-28", "a/b", 0.25), ("2026-11-29", "a/b", 0.000_009)];
        let books = [
            ("2026-11-28", "a/b", 200_000_000),
            ("2026-11-28", "a/b-20260901", 200_000_000),
            ("2026-11-28", "a/b:nitro", 100_000_000),
        ];
        let same = compare(&bill, &books, MADE, NOW).unwrap();
        assert_eq!((same.through, same.unattributed), ("2026-11-29".parse().unwrap(), NanoUsd::ZERO));
        assert_eq!(same.differences, []);
    }

    #[test]
    fn each_side_may_have_what_the_other_has_not() {
        let bill = [("2026-11-28", "a/b", 0.5), ("2026-11-28", "c/d", 2.0)];
        let books = [("2026-11-28", "a/b", 600_000_000), ("2026-11-29", "e/f", 100_000_000)];
        let bill = compare(&bill, &books, MADE, NOW).unwrap();
        assert_eq!(bill.unattributed, NanoUsd::new(1_800_000_000));
        let told: Vec<_> = bill
            .differences
            .iter()
            .map(|difference| (difference.model.as_str(), difference.ledger.get(), difference.upstream.get()))
            .collect();
        assert_eq!(told[0], ("c/d", 0, 2_000_000_000));
        assert!(told.contains(&("a/b", 600_000_000, 500_000_000)) && told.contains(&("e/f", 100_000_000, 0)));
    }

    #[test]
    fn days_that_cannot_be_compared_are_left_out() {
        let missing = |day| compare(&[], &[(day, "a/b", 1_000_000_000)], MADE, NOW).unwrap().differences.len();
        assert_eq!(missing("2026-11-29"), 1);
        // The day on which the key was made, and one that goes on.
        assert_eq!((missing("2026-11-01"), missing("2026-11-30")), (0, 0));
        // One that has just ended may not be billed yet.
        let early = compare(&[], &[("2026-11-29", "a/b", 1_000_000_000)], MADE, "2026-11-30T03:00:00Z").unwrap();
        assert_eq!((early.through, early.differences.len()), ("2026-11-28".parse().unwrap(), 0));
        assert_eq!(compare(&[], &[], "2026-11-29T10:00:00Z", NOW), None, "no day is over yet");
    }

    #[test]
    fn many_differences_are_counted() {
        let models: Vec<String> = (0..14).map(|number| format!("a/{number}")).collect();
        let bill: Vec<_> = models.iter().map(|model| ("2026-11-28", model.as_str(), 1.0)).collect();
        let bill = compare(&bill, &[], MADE, NOW).unwrap();
        assert_eq!((bill.differences.len(), bill.further), (MOST, 4));
        assert_eq!(bill.unattributed, NanoUsd::new(14_000_000_000));
    }
}
