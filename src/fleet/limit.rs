//! The used part of a month's limit.

use jiff::tz::TimeZone;
use mai_contract::Counts;

const NANO_USD: i64 = 1_000_000_000;
/// Percentages at which people are told.
const LEVELS: [i32; 3] = [100, 90, 75];

/// The used part of a month's limit, in nano-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// The limit.
    pub limit: i64,
    /// Spent of it.
    pub spent: i64,
}

impl LimitUse {
    /// Returns the use of the limit that was declared, by the instance's own books, or that of the key
    /// at the upstream, whichever is nearer to its end; nothing where there is no limit.
    pub fn new(declared_usd: Option<i64>, counts: &Counts) -> Option<Self> {
        let declared =
            declared_usd.map(|usd| Self { limit: usd.saturating_mul(NANO_USD), spent: counts.month.cost_nano_usd });
        [declared, Self::of_key(counts)].into_iter().flatten().reduce(|one, other| match one.is_more_than(other) {
            true => one,
            false => other,
        })
    }

    /// The key's limit begins anew with the month in UTC, where the client's month may be another.
    fn of_key(counts: &Counts) -> Option<Self> {
        let key = &counts.key;
        let checked = key.checked_at?.to_zoned(TimeZone::UTC).strftime("%Y-%m").to_string();
        let limit = key.limit_nano_usd.filter(|_| key.limit_is_monthly && checked == counts.month.month)?;
        Some(Self { limit, spent: limit.saturating_sub(key.limit_left_nano_usd?) })
    }

    fn is_more_than(self, other: Self) -> bool {
        i128::from(self.spent) * i128::from(other.limit) >= i128::from(other.spent) * i128::from(self.limit)
    }

    /// Returns the highest of 75, 90 and 100 % that is reached, or 0.
    pub fn level(self) -> i32 {
        let reached = |level: &i32| i128::from(self.spent) * 100 >= i128::from(self.limit) * i128::from(*level);
        LEVELS.into_iter().find(reached).unwrap_or(0)
    }

    /// Returns the part that is left: 1 of an unused limit, 0 of one that is used up.
    pub fn remaining_ratio(self) -> f64 {
        if self.limit <= 0 || self.spent >= self.limit {
            return 0.0;
        }
        // A ratio for a graph: the digits that are lost do not show.
        (1.0 - self.spent.max(0) as f64 / self.limit as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use mai_contract::{KeyCounts, KeyState, MonthCounts};

    use super::*;

    pub(in crate::fleet) fn counts(cost_usd: i64) -> Counts {
        Counts {
            version: Counts::VERSION,
            accounts: 7,
            max_accounts: 20,
            active_today: 2,
            active_30_days: 5,
            chats: 40,
            month: MonthCounts {
                month: "2026-11".to_owned(),
                requests: 9,
                cost_nano_usd: cost_usd * NANO_USD,
                price_nano_usd: None,
                unknown_costs: 0,
            },
            key: KeyCounts::default(),
        }
    }

    fn with_key(mut counts: Counts, left_usd: i64, checked_at: &str) -> Counts {
        counts.key = KeyCounts {
            state: KeyState::Ok,
            checked_at: Some(checked_at.parse().unwrap()),
            expires_at: None,
            limit_nano_usd: Some(100 * NANO_USD),
            limit_left_nano_usd: Some(left_usd * NANO_USD),
            limit_is_monthly: true,
        };
        counts
    }

    #[test]
    fn level_is_that_of_the_limit_nearest_to_its_end() {
        let (now, before) = ("2026-11-30T22:59:59Z", "2026-10-31T23:30:00Z");
        for (declared, counts, level, left) in [
            (Some(100), counts(0), 0, 1.0),
            (Some(100), counts(74), 0, 0.26),
            (Some(100), counts(75), 75, 0.25),
            (Some(100), counts(90), 90, 0.1),
            (Some(100), counts(100), 100, 0.0),
            (Some(100), counts(130), 100, 0.0),
            (Some(500), with_key(counts(95), 5, now), 90, 0.05),
            (Some(100), with_key(counts(80), 60, now), 75, 0.2),
            (Some(100), with_key(counts(10), 0, before), 0, 0.9),
            (None, with_key(counts(0), 25, now), 75, 0.25),
            (None, with_key(counts(0), -3, now), 100, 0.0),
        ] {
            let used = LimitUse::new(declared, &counts).unwrap();
            assert_eq!(used.level(), level, "{declared:?} {counts:?}");
            assert!((used.remaining_ratio() - left).abs() < 1e-9, "{used:?}");
        }
        assert_eq!(LimitUse::new(None, &counts(5)), None);
        let mut for_life = with_key(counts(5), 0, now);
        for_life.key.limit_is_monthly = false;
        assert_eq!(LimitUse::new(None, &for_life), None);
        assert_eq!(LimitUse { limit: 0, spent: 0 }.level(), 100);
    }
}
