//! The amounts that are spent and reserved in the current day and month.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use mai_openrouter::NanoUsd;

use super::definition::{BudgetPeriod, BudgetScope};
use crate::usage::pricing::Pricing;

/// An amount that is spent, and one that running generations may cost besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) spent: NanoUsd,
    pub(super) reserved: NanoUsd,
}

impl Amounts {
    /// Both together.
    pub(super) fn used(self) -> NanoUsd {
        self.spent + self.reserved
    }

    fn change(&mut self, spent: i64, reserved: i64) {
        self.spent += NanoUsd::new(spent);
        self.reserved += NanoUsd::new(reserved);
    }
}

/// The generation that an amount is reserved for or spent on.
#[derive(Debug, Clone)]
pub(in crate::usage) struct Reservation {
    pub(in crate::usage) user: String,
    pub(in crate::usage) key: Option<Arc<str>>,
    /// The moment whose day and month it counts for.
    pub(in crate::usage) at: Timestamp,
    /// The most that the client is billed for it.
    pub(in crate::usage) price: NanoUsd,
    /// The most that the provider pays for it; zero over a connection of the client's own.
    pub(in crate::usage) cost: NanoUsd,
    /// The factors that make its price.
    pub(in crate::usage) pricing: Pricing,
    /// True where the provider pays for it.
    pub(in crate::usage) billed: bool,
}

impl Reservation {
    /// The reservation of what may cost this at most.
    pub(super) fn new(
        user: String,
        key: Option<Arc<str>>,
        at: Timestamp,
        most: NanoUsd,
        pricing: Pricing,
        billed: bool,
    ) -> Self {
        let (price, cost) = amounts_of(most, pricing, billed);
        Self { user, key, at, price, cost, pricing, billed }
    }
}

/// Returns the price of what costs this, and what the provider pays of it.
fn amounts_of(cost: NanoUsd, pricing: Pricing, billed: bool) -> (NanoUsd, NanoUsd) {
    (pricing.price(cost), if billed { cost } else { NanoUsd::ZERO })
}

/// The amounts of one day or month.
#[derive(Debug)]
pub(super) struct PeriodSpending {
    period: BudgetPeriod,
    first_day: Date,
    next_first_day: Date,
    starts: Timestamp,
    ends: Timestamp,
    pub(super) company: Amounts,
    people: HashMap<String, Amounts>,
    keys: HashMap<Arc<str>, Amounts>,
    /// The amounts that the provider pays.
    pub(super) cost: Amounts,
}

impl PeriodSpending {
    pub(super) fn new(period: BudgetPeriod, now: Timestamp, zone: &TimeZone) -> Self {
        let today = now.to_zoned(zone.clone()).date();
        let (first_day, next) = match period {
            BudgetPeriod::Day => (today, today.checked_add(1.day())),
            BudgetPeriod::Month => (today.first_of_month(), today.first_of_month().checked_add(1.month())),
        };
        let next_first_day = next.unwrap_or(Date::MAX);
        let midnight = |day: Date, otherwise| zone.to_zoned(day.at(0, 0, 0, 0)).map_or(otherwise, |at| at.timestamp());
        Self {
            period,
            first_day,
            next_first_day,
            starts: midnight(first_day, Timestamp::MIN),
            ends: midnight(next_first_day, Timestamp::MAX),
            company: Amounts::default(),
            people: HashMap::new(),
            keys: HashMap::new(),
            cost: Amounts::default(),
        }
    }

    pub(super) fn period(&self) -> BudgetPeriod {
        self.period
    }

    pub(super) fn first_day(&self) -> Date {
        self.first_day
    }

    pub(super) fn next_first_day(&self) -> Date {
        self.next_first_day
    }

    /// The amounts of a person or key, or of the company.
    pub(super) fn amounts(&self, scope: BudgetScope, subject: &str) -> Amounts {
        match scope {
            BudgetScope::Company => self.company,
            BudgetScope::Person => self.people.get(subject).copied().unwrap_or_default(),
            BudgetScope::Key => self.keys.get(subject).copied().unwrap_or_default(),
        }
    }

    /// Adds what was spent before the start of this server.
    pub(super) fn add_spent(&mut self, user: String, key: &str, price: NanoUsd, cost: NanoUsd) {
        self.company.spent += price;
        self.people.entry(user).or_default().spent += price;
        if !key.is_empty() {
            self.keys.entry(key.into()).or_default().spent += price;
        }
        self.cost.spent += cost;
    }

    /// Changes the amounts that a generation counts for: by a part of its reservation and by what was
    /// spent. Nothing where it is of another period.
    fn change(&mut self, of: &Reservation, sign: i64, price: NanoUsd, cost: NanoUsd) {
        if of.at < self.starts || of.at >= self.ends {
            return;
        }
        let reserved = sign * of.price.get();
        self.company.change(price.get(), reserved);
        self.people.entry(of.user.clone()).or_default().change(price.get(), reserved);
        if let Some(key) = &of.key {
            self.keys.entry(Arc::clone(key)).or_default().change(price.get(), reserved);
        }
        self.cost.change(cost.get(), sign * of.cost.get());
    }
}

/// The amounts of the current day and month.
#[derive(Debug)]
pub(super) struct Spending {
    zone: TimeZone,
    pub(super) day: PeriodSpending,
    pub(super) month: PeriodSpending,
}

impl Spending {
    pub(super) fn new(now: Timestamp, zone: TimeZone) -> Self {
        Self {
            day: PeriodSpending::new(BudgetPeriod::Day, now, &zone),
            month: PeriodSpending::new(BudgetPeriod::Month, now, &zone),
            zone,
        }
    }

    pub(super) fn of(&self, period: BudgetPeriod) -> &PeriodSpending {
        match period {
            BudgetPeriod::Day => &self.day,
            BudgetPeriod::Month => &self.month,
        }
    }

    /// Begins a new day or month when it is time. A clock that was set back leads to no former one:
    /// returns the moment that counts instead.
    pub(super) fn advance(&mut self, now: Timestamp) -> Timestamp {
        let now = now.max(self.day.starts);
        for period in [&mut self.day, &mut self.month] {
            if now >= period.ends {
                *period = PeriodSpending::new(period.period, now, &self.zone);
            }
        }
        now
    }

    pub(super) fn reserve(&mut self, reservation: &Reservation) {
        self.change(reservation, 1, NanoUsd::ZERO, NanoUsd::ZERO);
    }

    /// Takes a reservation back and adds what was spent instead.
    pub(super) fn settle(&mut self, reservation: &Reservation, cost: NanoUsd) {
        let (price, cost) = amounts_of(cost, reservation.pricing, reservation.billed);
        self.change(reservation, -1, price, cost);
    }

    fn change(&mut self, of: &Reservation, sign: i64, price: NanoUsd, cost: NanoUsd) {
        self.day.change(of, sign, price, cost);
        self.month.change(of, sign, price, cost);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn reservation(at: Timestamp, price: i64) -> Reservation {
        let price = NanoUsd::new(price);
        let pricing = Pricing { markup: "1.2".parse().unwrap(), ..Pricing::AT_COST };
        Reservation { user: "u".to_owned(), key: Some("k".into()), at, price, cost: price, pricing, billed: true }
    }

    #[test]
    fn what_is_settled_after_midnight_counts_for_the_day_before() {
        let warsaw = TimeZone::get("Europe/Warsaw").unwrap();
        let evening: Timestamp = "2026-11-30T22:59:00Z".parse().unwrap();
        let morning: Timestamp = "2026-11-30T23:01:00Z".parse().unwrap();
        let mut spending = Spending::new(evening, warsaw);
        let running = reservation(spending.advance(evening), 70);
        spending.reserve(&running);
        assert_eq!(spending.month.amounts(BudgetScope::Key, "k").used(), NanoUsd::new(70));
        let next = reservation(spending.advance(morning), 5);
        spending.reserve(&next);
        spending.settle(&running, NanoUsd::new(50));
        let now = Amounts { spent: NanoUsd::ZERO, reserved: NanoUsd::new(5) };
        assert_eq!((spending.day.company, spending.month.company, spending.month.cost), (now, now, now));
        assert_eq!(spending.month.first_day(), jiff::civil::date(2026, 12, 1));
        // A clock that is set back changes nothing.
        assert_eq!(spending.advance(evening), morning - 1.minute());
        assert_eq!(spending.day.company, now);
    }

    #[test]
    fn reservation_ends_with_what_was_spent() {
        let now: Timestamp = "2026-11-10T12:00:00Z".parse().unwrap();
        let mut spending = Spending::new(now, TimeZone::UTC);
        let running = reservation(now, 70);
        spending.reserve(&running);
        spending.settle(&running, NanoUsd::new(50));
        for scope in [(BudgetScope::Company, ""), (BudgetScope::Person, "u"), (BudgetScope::Key, "k")] {
            let spent = Amounts { spent: NanoUsd::new(60), reserved: NanoUsd::ZERO };
            assert_eq!(spending.day.amounts(scope.0, scope.1), spent);
        }
        assert_eq!(spending.day.cost.used(), NanoUsd::new(50));
    }
}
