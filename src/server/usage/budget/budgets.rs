//! The budgets in force, and what is spent of them.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use mai_openrouter::NanoUsd;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::definition::{Budget, BudgetAmount, BudgetScope, InvalidBudget, NewBudget};
use super::over_budget::{Limiter, OverBudget};
use super::spending::{Amounts, PeriodSpending, Reservation, Spending};
use super::store;
use crate::audit::{Action, Actor, Event, record};
use crate::database::{Database, DatabaseError};
use crate::usage::pricing::Pricing;
use crate::user::UserId;
use crate::zloty::{Mid, NewestRate};

/// The budgets in force, and what is spent of them. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Budgets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: Database,
    /// The name of the time zone whose midnights divide days and months.
    zone: String,
    /// Most that the provider pays in a month.
    provider_limit: Option<NanoUsd>,
    newest_rate: NewestRate,
    current: Mutex<Current>,
    /// Locked while a budget is changed.
    changing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Current {
    spending: Spending,
    budgets: Vec<Budget>,
}

/// An amount to add to a budget; one of the two currencies is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// In US dollars.
    #[serde(default)]
    pub nano_usd: Option<i64>,
    /// In złoty, such as `50.00`.
    #[serde(default)]
    pub pln: Option<String>,
}

/// A budget and what is left of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BudgetState {
    /// The budget.
    #[serde(flatten)]
    pub budget: Budget,
    /// The amount that may be spent in the current period, with what was added for it.
    #[serde(rename = "current_limit_nano_usd")]
    pub current_limit: NanoUsd,
    /// The amount that is spent.
    #[serde(rename = "spent_nano_usd")]
    pub spent: NanoUsd,
    /// The amount that answers which are being written, or whose cost is not known yet, may cost.
    #[serde(rename = "reserved_nano_usd")]
    pub reserved: NanoUsd,
    /// The first day of the next period.
    pub new_on: Date,
    /// The rate at which amounts are shown and compared; none for a budget in dollars.
    #[serde(rename = "pln_rate")]
    pub rate: Option<Mid>,
}

impl BudgetState {
    /// The amount that is left.
    pub fn left(&self) -> NanoUsd {
        NanoUsd::new(self.current_limit.get().saturating_sub(self.spent.get() + self.reserved.get()).max(0))
    }

    /// The share that is used, in percent; 100 and more where nothing is left.
    pub fn percent(&self) -> u64 {
        let used = i128::from((self.spent + self.reserved).get().max(0)) * 100;
        match i128::from(self.current_limit.get()) {
            ..=0 => 100,
            limit => u64::try_from(used / limit).unwrap_or(u64::MAX),
        }
    }
}

impl Current {
    /// The budgets that limit what this person spends, with this key.
    fn applying<'a>(&'a self, user: &'a str, key: Option<&'a str>) -> impl Iterator<Item = &'a Budget> + 'a {
        let has_own = move |period| {
            let is_own = |budget: &Budget| budget.scope == BudgetScope::Person && budget.subject == user;
            self.budgets.iter().any(|budget| is_own(budget) && budget.period == period)
        };
        self.budgets.iter().filter(move |budget| match budget.scope {
            BudgetScope::Company => true,
            BudgetScope::Person if budget.subject.is_empty() => !has_own(budget.period),
            BudgetScope::Person => budget.subject == user,
            BudgetScope::Key => key == Some(budget.subject.as_str()),
        })
    }

    /// The limit in dollars and the amounts of a budget that applies to this person, and their period.
    fn amounts(&self, budget: &Budget, user: &str, newest: Option<Mid>) -> (NanoUsd, Amounts, &PeriodSpending) {
        let period = self.spending.of(budget.period);
        let subject = match budget.scope {
            BudgetScope::Person => user,
            BudgetScope::Company | BudgetScope::Key => budget.subject.as_str(),
        };
        let limit = budget.limit_from(period.first_day()).usd(newest);
        (limit, period.amounts(budget.scope, subject), period)
    }

    fn state(&self, budget: &Budget, user: &str, newest: Option<Mid>) -> BudgetState {
        let (current_limit, amounts, period) = self.amounts(budget, user, newest);
        BudgetState {
            budget: budget.clone(),
            current_limit,
            spent: amounts.spent,
            reserved: amounts.reserved,
            new_on: period.next_first_day(),
            rate: budget.limit.rate(newest),
        }
    }
}

impl Budgets {
    /// Reads the budgets and what was spent. No generation runs yet.
    pub(crate) async fn load(
        db: &Database,
        zone_name: &str,
        zone: &TimeZone,
        provider_limit: Option<NanoUsd>,
        newest_rate: NewestRate,
    ) -> Result<Self, DatabaseError> {
        let mut spending = Spending::new(Timestamp::now(), zone.clone());
        store::load_spending(db, &mut spending).await?;
        let current = Mutex::new(Current { spending, budgets: store::load(db).await? });
        let (db, zone) = (db.clone(), zone_name.to_owned());
        let changing = tokio::sync::Mutex::default();
        Ok(Self(Arc::new(Shared { db, zone, provider_limit, newest_rate, current, changing })))
    }

    /// Reserves what a generation may cost at most, if all limits leave as much. Where that is not
    /// known, something has to be left.
    pub(in crate::usage) fn reserve(
        &self,
        user: &UserId,
        key: Option<&Arc<str>>,
        most: Option<NanoUsd>,
        pricing: Pricing,
        billed: bool,
    ) -> Result<Reservation, OverBudget> {
        let mut current = self.0.current.lock();
        let at = current.spending.advance(Timestamp::now());
        let reservation =
            Reservation::new(user.as_str().to_owned(), key.cloned(), at, most.unwrap_or_default(), pricing, billed);
        let newest = self.0.newest_rate.get();
        let refusal = |limiter, limit, used, most, period: &PeriodSpending, rate| OverBudget {
            limiter,
            rate,
            period: period.period(),
            limit,
            used,
            most,
            new_on: period.next_first_day(),
            zone: self.0.zone.clone(),
        };
        for budget in current.applying(user.as_str(), key.map(AsRef::as_ref)).filter(|budget| budget.hard) {
            let (limit, amounts, period) = current.amounts(budget, user.as_str(), newest);
            if !has_room(limit, amounts, reservation.price) {
                let (limiter, rate) = (Limiter::Budget(budget.scope), budget.limit.rate(newest));
                return Err(refusal(limiter, limit, amounts.used(), reservation.price, period, rate));
            }
        }
        let month = &current.spending.month;
        if let Some(limit) = self.0.provider_limit.filter(|_| billed)
            && !has_room(limit, month.cost, reservation.cost)
        {
            // The client knows prices only.
            let [limit, used] = [limit, month.cost.used()].map(|cost| pricing.price(cost));
            return Err(refusal(Limiter::Provider, limit, used, reservation.price, month, None));
        }
        current.spending.reserve(&reservation);
        Ok(reservation)
    }

    /// Takes a reservation back and counts what the generation cost instead.
    pub(in crate::usage) fn settle(&self, reservation: &Reservation, cost: NanoUsd) {
        self.0.current.lock().spending.settle(reservation, cost);
    }

    /// Returns the most that a generation of this person may cost, where anything limits it.
    pub(in crate::usage) fn affordable(&self, user: &UserId, pricing: Pricing, billed: bool) -> Option<NanoUsd> {
        let mut current = self.0.current.lock();
        current.spending.advance(Timestamp::now());
        let newest = self.0.newest_rate.get();
        let budgets = current.applying(user.as_str(), None).filter(|budget| budget.hard).map(|budget| {
            let (limit, amounts, _) = current.amounts(budget, user.as_str(), newest);
            pricing.cost_within(left(limit, amounts))
        });
        let provider = self.0.provider_limit.filter(|_| billed).map(|limit| left(limit, current.spending.month.cost));
        budgets.chain(provider).min()
    }

    /// All budgets, with what is left of each. Of one for each person, what is left is not told.
    pub fn all(&self) -> Vec<BudgetState> {
        let mut current = self.0.current.lock();
        current.spending.advance(Timestamp::now());
        let newest = self.0.newest_rate.get();
        current.budgets.iter().map(|budget| current.state(budget, &budget.subject, newest)).collect()
    }

    /// The budgets that limit what a person spends in the pages.
    pub fn of_person(&self, user: &UserId) -> Vec<BudgetState> {
        let mut current = self.0.current.lock();
        current.spending.advance(Timestamp::now());
        let newest = self.0.newest_rate.get();
        current.applying(user.as_str(), None).map(|budget| current.state(budget, user.as_str(), newest)).collect()
    }

    /// Sets a budget, in place of one for the same scope, subject and period. It counts at once, also
    /// where less is left than is reserved: what runs goes on, and nothing new begins.
    pub async fn set(&self, by: Actor, new: NewBudget) -> Result<Budget, BudgetError> {
        let limit = new.checked_limit(self.0.newest_rate.get())?;
        if !store::has_subject(&self.0.db, new.scope, &new.subject).await? {
            return Err(InvalidBudget::NoSuchSubject.into());
        }
        let _changing = self.0.changing.lock().await;
        let is_same = |budget: &&Budget| {
            (budget.scope, budget.period) == (new.scope, new.period) && budget.subject == new.subject
        };
        let former = self.0.current.lock().budgets.iter().find(is_same).cloned();
        let budget = Budget {
            id: former.as_ref().map_or_else(|| Uuid::now_v7().to_string(), |former| former.id.clone()),
            scope: new.scope,
            subject: new.subject.clone(),
            period: new.period,
            limit,
            hard: new.hard,
            // What was added stays, unless the budget gets another currency.
            raised: former.and_then(|former| former.raised).filter(|(raised, _)| limit.plus(*raised).is_ok()),
        };
        self.save(Event::new(Action::BudgetSet, by), budget).await
    }

    /// Adds an amount to a budget for the current period alone.
    pub async fn raise(&self, by: Actor, id: &str, added: &Raise) -> Result<Budget, BudgetError> {
        let added = BudgetAmount::new(added.nano_usd, added.pln.as_deref(), self.0.newest_rate.get())?;
        let _changing = self.0.changing.lock().await;
        let (mut budget, first_day) = {
            let mut current = self.0.current.lock();
            current.spending.advance(Timestamp::now());
            let budget = current.budgets.iter().find(|budget| budget.id == id).cloned();
            let budget = budget.ok_or(InvalidBudget::NotFound)?;
            let first_day = current.spending.of(budget.period).first_day();
            (budget, first_day)
        };
        let raised = budget.raised_from(first_day).map_or(Ok(added), |former| former.plus(added))?;
        budget.limit.plus(raised)?;
        budget.raised = Some((raised, first_day));
        let event = Event::new(Action::BudgetRaised, by);
        let event = match added {
            BudgetAmount::Usd(amount) => event.with("added_nano_usd", amount.get()),
            BudgetAmount::Pln { amount, .. } => event.with("added_pln", amount.to_string()),
        };
        self.save(event, budget).await
    }

    /// Removes a budget.
    pub async fn remove(&self, by: Actor, id: &str) -> Result<(), BudgetError> {
        let _changing = self.0.changing.lock().await;
        let budget = self.0.current.lock().budgets.iter().find(|budget| budget.id == id).cloned();
        let budget = budget.ok_or(InvalidBudget::NotFound)?;
        let event = described(Event::new(Action::BudgetRemoved, by), &budget);
        let removed = budget.id.clone();
        self.0
            .db
            .write(move |connection| {
                Box::pin(async move {
                    store::remove(connection, &removed).await?;
                    record(connection, event).await
                })
            })
            .await?;
        self.0.current.lock().budgets.retain(|other| other.id != budget.id);
        Ok(())
    }

    async fn save(&self, event: Event, budget: Budget) -> Result<Budget, BudgetError> {
        let event = described(event, &budget);
        let saved = budget.clone();
        self.0
            .db
            .write(move |connection| {
                Box::pin(async move {
                    store::save(connection, &saved, Timestamp::now().as_millisecond()).await?;
                    record(connection, event).await
                })
            })
            .await?;
        let mut current = self.0.current.lock();
        current.budgets.retain(|other| other.id != budget.id);
        current.budgets.push(budget.clone());
        Ok(budget)
    }
}

fn described(event: Event, budget: &Budget) -> Event {
    let event = match budget.limit {
        BudgetAmount::Usd(limit) => event.with("limit_nano_usd", limit.get()),
        BudgetAmount::Pln { amount, .. } => event.with("limit_pln", amount.to_string()),
    };
    event
        .with("scope", budget.scope.as_str())
        .with("subject", budget.subject.as_str())
        .with("period", budget.period.as_str())
        .with("hard", budget.hard)
}

fn left(limit: NanoUsd, amounts: Amounts) -> NanoUsd {
    NanoUsd::new(limit.get().saturating_sub(amounts.used().get()).max(0))
}

/// True where something is left, and as much as this.
fn has_room(limit: NanoUsd, amounts: Amounts, most: NanoUsd) -> bool {
    let left = left(limit, amounts);
    left > NanoUsd::ZERO && most <= left
}

/// A change of a budget that failed.
#[derive(Debug, thiserror::Error)]
pub enum BudgetError {
    /// The change makes no sense.
    #[error(transparent)]
    Invalid(#[from] InvalidBudget),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::definition::BudgetPeriod;
    use super::*;

    const USD: i64 = 1_000_000_000;

    async fn budgets(
        provider_limit: Option<i64>,
        limits: &[(BudgetScope, &str, i64, bool)],
    ) -> (tempfile::TempDir, Budgets) {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::open(directory.path().join("mai.db")).await.unwrap();
        let limit = provider_limit.map(NanoUsd::new);
        let budgets = Budgets::load(&db, "UTC", &TimeZone::UTC, limit, NewestRate::default()).await.unwrap();
        for (number, (scope, subject, limit, hard)) in limits.iter().enumerate() {
            budgets.0.current.lock().budgets.push(Budget {
                id: number.to_string(),
                scope: *scope,
                subject: (*subject).to_owned(),
                period: BudgetPeriod::Month,
                limit: BudgetAmount::Usd(NanoUsd::new(*limit)),
                hard: *hard,
                raised: None,
            });
        }
        (directory, budgets)
    }

    fn reserve(budgets: &Budgets, user: &str, key: Option<&str>, most: i64) -> Result<Reservation, Limiter> {
        let (user, key) = (UserId::from(user.to_owned()), key.map(Arc::from));
        budgets
            .reserve(&user, key.as_ref(), Some(NanoUsd::new(most)), Pricing::AT_COST, true)
            .map_err(|refusal| refusal.limiter)
    }

    #[tokio::test]
    async fn smallest_limit_that_applies_refuses() {
        use BudgetScope::{Company, Key, Person};
        let limits = [
            (Company, "", 10 * USD, true),
            (Person, "", 3 * USD, true),
            (Person, "ann", 5 * USD, true),
            (Key, "k", USD, true),
        ];
        let (_directory, budgets) = budgets(Some(8 * USD), &limits).await;
        let refused = |scope| Err(Limiter::Budget(scope));
        for (user, key, most, expected) in [
            ("bob", None, 3 * USD + 1, refused(Person)),
            ("bob", None, 3 * USD, Ok(())),
            ("bob", None, 1, refused(Person)),
            ("ann", Some("k"), USD + 1, refused(Key)),
            ("ann", Some("k"), USD, Ok(())),
            ("ann", None, 4 * USD + 1, refused(Person)),
            ("ann", None, 4 * USD, Ok(())),
            // 8 of 10 are used, and all that the provider allows.
            ("eve", None, USD, Err(Limiter::Provider)),
        ] {
            assert_eq!(reserve(&budgets, user, key, most).map(drop), expected, "{user} {key:?} {most}");
        }
    }

    #[tokio::test]
    async fn soft_budget_refuses_nothing() {
        let (_directory, budgets) = budgets(None, &[(BudgetScope::Company, "", USD, false)]).await;
        assert!(reserve(&budgets, "bob", None, 9 * USD).is_ok());
        let state = &budgets.of_person(&UserId::from("bob".to_owned()))[0];
        assert_eq!((state.percent(), state.left()), (900, NanoUsd::ZERO));
    }

    #[tokio::test]
    async fn call_of_unknown_cost_needs_something_left() {
        let (_directory, budgets) = budgets(None, &[(BudgetScope::Company, "", USD, true)]).await;
        let user = UserId::from("bob".to_owned());
        let unknown = || budgets.reserve(&user, None, None, Pricing::AT_COST, true);
        let first = unknown().unwrap();
        budgets.settle(&first, NanoUsd::new(2 * USD));
        assert!(unknown().is_err());
        assert_eq!(budgets.affordable(&user, Pricing::AT_COST, true), Some(NanoUsd::ZERO));
    }
}
