//! The use of one instance as far as it is known, and the part of it that is worth a report.

use std::time::Duration;

use jiff::Timestamp;
use mai_contract::{Counts, KeyState};

use super::bill::Bill;
use super::billed_account::BilledAccount;
use super::limit::LimitUse;

/// Failures in a row after which counts are unknown: a server may be busy for a moment.
const FAILURES: u32 = 3;

/// The counts of an instance as far as they are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KnownCounts {
    /// The last ones that were read, with their time.
    pub counts: Option<(Counts, Timestamp)>,
    /// Time since which they cannot be read.
    pub unknown_since: Option<Timestamp>,
    /// The newest comparison with the bill of the upstream, where there is one.
    pub bill: Option<Bill>,
}

/// The newest counts, and those that were reported.
#[derive(Debug, Default)]
pub(super) struct Knowledge {
    /// The newest.
    pub(super) newest: KnownCounts,
    /// The reported ones; nothing before the first answer.
    pub(super) reported: Option<KnownCounts>,
    /// Declared limit of a month, in USD.
    pub(super) limit_usd: Option<i64>,
    /// The account that has the bill of it.
    pub(super) account: Option<BilledAccount>,
    failures: u32,
    failing_since: Option<Timestamp>,
}

/// Meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// There is something to report.
    pub(super) is_to_report: bool,
    /// The counts are unknown from now on.
    pub(super) begins_to_fail: bool,
}

impl Knowledge {
    /// Records an answer, or that there was none. Numbers that only grew are reported again after
    /// `gap`; all else at once.
    pub(super) fn record(&mut self, answer: Option<Counts>, now: Timestamp, gap: Duration) -> News {
        let was_unknown = self.newest.unknown_since.is_some();
        match answer {
            Some(counts) => {
                (self.failures, self.failing_since) = (0, None);
                self.newest.counts = Some((counts, now));
                self.newest.unknown_since = None;
            }
            None => {
                self.failures = self.failures.saturating_add(1);
                let since = *self.failing_since.get_or_insert(now);
                if self.failures >= FAILURES {
                    self.newest.unknown_since = Some(since);
                }
            }
        }
        let is_to_report = self.is_to_report(gap);
        if is_to_report {
            self.reported = Some(self.newest.clone());
        }
        News { is_to_report, begins_to_fail: !was_unknown && self.newest.unknown_since.is_some() }
    }

    fn is_to_report(&self, gap: Duration) -> bool {
        let Some(reported) = &self.reported else { return self.newest != KnownCounts::default() };
        if reported.unknown_since.is_some() != self.newest.unknown_since.is_some() || reported.bill != self.newest.bill
        {
            return true;
        }
        let (Some((old, old_at)), Some((new, new_at))) = (&reported.counts, &self.newest.counts) else {
            return reported.counts.is_some() != self.newest.counts.is_some();
        };
        let is_old = Duration::try_from(new_at.duration_since(*old_at)).is_ok_and(|age| age >= gap);
        self.decisive(old) != self.decisive(new) || is_old && growing(old) != growing(new)
    }

    /// The parts that are reported at once.
    fn decisive<'a>(&self, counts: &'a Counts) -> (&'a str, u64, bool, Option<Timestamp>, Option<i32>) {
        let level = LimitUse::new(self.limit_usd, counts).map(LimitUse::level);
        let is_refused = counts.key.state == KeyState::Refused;
        (&counts.month.month, counts.accounts, is_refused, counts.key.expires_at, level)
    }
}

/// The parts that change all the time.
fn growing(counts: &Counts) -> (u64, i64, Option<i64>, u64, KeyState) {
    let month = &counts.month;
    let cents = |nano_usd: i64| nano_usd.saturating_add(5_000_000) / 10_000_000;
    let price = month.price_nano_usd.map(cents);
    (counts.active_30_days, cents(month.cost_nano_usd), price, month.unknown_costs, counts.key.state)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::limit::tests::counts;
    use super::*;

    const GAP: Duration = Duration::from_secs(600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn growing_numbers_are_reported_once_in_a_while() {
        let mut knowledge = Knowledge { limit_usd: Some(100), ..Knowledge::default() };
        let mut reported = |cost, accounts, second| {
            let answer = Counts { accounts, ..counts(cost) };
            knowledge.record(Some(answer), at(second), GAP).is_to_report
        };
        for (cost, accounts, second, expected, why) in [
            (1, 7, 0, true, "the first"),
            (1, 7, 120, false, "the same"),
            (2, 7, 240, false, "a little more"),
            (2, 8, 360, true, "another account"),
            (3, 8, 480, false, "a little more"),
            (4, 8, 960, true, "more, after a while"),
            (4, 8, 9600, false, "the same, after a long while"),
            (75, 8, 9720, true, "much of the limit"),
            (76, 8, 9840, false, "a little more"),
            (90, 8, 9960, true, "nearly all of it"),
        ] {
            assert_eq!(reported(cost, accounts, second), expected, "{why}");
        }
    }

    #[test]
    fn failures_keep_the_last_counts_and_are_reported_once() {
        let mut knowledge = Knowledge::default();
        let fail = |knowledge: &mut Knowledge, second| knowledge.record(None, at(second), GAP);
        knowledge.record(Some(counts(1)), at(0), GAP);
        for second in [120, 240] {
            assert_eq!(fail(&mut knowledge, second), News { is_to_report: false, begins_to_fail: false });
        }
        assert_eq!(fail(&mut knowledge, 360), News { is_to_report: true, begins_to_fail: true });
        assert_eq!(fail(&mut knowledge, 480), News { is_to_report: false, begins_to_fail: false });
        let reported = knowledge.reported.clone().unwrap();
        assert_eq!((reported.counts, reported.unknown_since), (Some((counts(1), at(0))), Some(at(120))));
        assert!(knowledge.record(Some(counts(1)), at(600), GAP).is_to_report, "they are known again");
        assert_eq!(knowledge.reported.unwrap().unknown_since, None);
    }
}
