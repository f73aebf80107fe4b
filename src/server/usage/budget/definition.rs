//! A limit of what may be spent.

use jiff::civil::Date;
use mai_openrouter::NanoUsd;
use serde::{Deserialize, Serialize, Serializer};

use crate::zloty::{Mid, Pln};

/// Highest limit: a thousand million dollars would overflow no sum.
const HIGHEST: NanoUsd = NanoUsd::new(1_000_000 * 1_000_000_000);

/// The spending that a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetScope {
    /// That of everybody together.
    Company,
    /// That of one person, or of each person without a budget of their own.
    Person,
    /// That with one API key.
    Key,
}

impl BudgetScope {
    /// The text in the database and the JSON API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Company => "company",
            Self::Person => "person",
            Self::Key => "key",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Company, Self::Person, Self::Key].into_iter().find(|scope| scope.as_str() == text)
    }
}

/// The time after which a budget is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BudgetPeriod {
    /// A day by the client's clocks.
    Day,
    /// A calendar month by the client's clocks.
    Month,
}

impl BudgetPeriod {
    /// The text in the database and the JSON API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Day, Self::Month].into_iter().find(|period| period.as_str() == text)
    }
}

/// A budget to set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBudget {
    /// The spending that it limits.
    pub scope: BudgetScope,
    /// The account or API key. Empty for the company, and for each person without a budget of their
    /// own.
    #[serde(default)]
    pub subject: String,
    /// The time after which it is new.
    pub period: BudgetPeriod,
    /// Most that may be spent in it.
    #[serde(default)]
    pub limit_nano_usd: Option<i64>,
    /// The same in złoty, such as `100.00`; one of the two is given.
    #[serde(default)]
    pub limit_pln: Option<String>,
    /// False to warn only.
    #[serde(default = "yes")]
    pub hard: bool,
}

fn yes() -> bool {
    true
}

/// A budget that cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBudget {
    /// The limit is negative or absurd.
    #[error("A limit is between 0 and 1,000,000 USD.")]
    Limit,
    /// The amount is in both currencies or in none.
    #[error("Give an amount in USD or in PLN, not both and not neither.")]
    Currency,
    /// An amount in złoty, without a rate to compare it with what is spent in dollars.
    #[error("No exchange rate is known yet. Give the limit in USD, or enter a rate first.")]
    NoRate,
    /// A budget is raised by an amount of another currency.
    #[error("A budget is raised in its own currency.")]
    OtherCurrency,
    /// The company has a subject, or a key has none.
    #[error("A budget of the company has no subject, and one of an API key names the key.")]
    Subject,
    /// The account or key does not exist.
    #[error("There is no such account or API key.")]
    NoSuchSubject,
    /// The budget does not exist.
    #[error("There is no such budget.")]
    NotFound,
}

impl NewBudget {
    /// Returns the limit, if everything about the budget makes sense.
    pub(super) fn checked_limit(&self, newest: Option<Mid>) -> Result<BudgetAmount, InvalidBudget> {
        let needs_subject = match self.scope {
            BudgetScope::Company => Some(false),
            BudgetScope::Key => Some(true),
            BudgetScope::Person => None,
        };
        if needs_subject.is_some_and(|needs| needs == self.subject.is_empty()) {
            return Err(InvalidBudget::Subject);
        }
        BudgetAmount::new(self.limit_nano_usd, self.limit_pln.as_deref(), newest)
    }
}

/// An amount of a budget, in the currency in which it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum BudgetAmount {
    /// In US dollars.
    #[serde(rename = "limit_nano_usd")]
    Usd(NanoUsd),
    /// In złoty. What is spent is compared at the newest rate.
    #[serde(rename = "limit_pln", serialize_with = "serialize_amount")]
    Pln {
        /// The amount.
        amount: Pln,
        /// The rate at which it was set, for as long as no other is known.
        set_at: Mid,
    },
}

fn serialize_amount<S: Serializer>(amount: &Pln, _: &Mid, serializer: S) -> Result<S::Ok, S::Error> {
    amount.serialize(serializer)
}

impl BudgetAmount {
    /// Returns an amount that a limit may have.
    pub(super) fn new(nano_usd: Option<i64>, pln: Option<&str>, newest: Option<Mid>) -> Result<Self, InvalidBudget> {
        let amount = match (nano_usd, pln) {
            (Some(nano_usd), None) => Self::Usd(NanoUsd::new(nano_usd)),
            (None, Some(text)) => {
                let set_at = newest.ok_or(InvalidBudget::NoRate)?;
                Self::Pln { amount: Pln::parse(text).ok_or(InvalidBudget::Limit)?, set_at }
            }
            _ => return Err(InvalidBudget::Currency),
        };
        amount.checked()
    }

    fn checked(self) -> Result<Self, InvalidBudget> {
        let is_plausible = (NanoUsd::ZERO..=HIGHEST).contains(&self.usd(None));
        if is_plausible { Ok(self) } else { Err(InvalidBudget::Limit) }
    }

    /// Returns the amount in dollars.
    pub fn usd(self, newest: Option<Mid>) -> NanoUsd {
        match self {
            Self::Usd(amount) => amount,
            Self::Pln { amount, set_at } => newest.unwrap_or(set_at).usd(amount),
        }
    }

    /// Returns the rate at which amounts in dollars are shown beside it; none where it is in dollars.
    pub(super) fn rate(self, newest: Option<Mid>) -> Option<Mid> {
        match self {
            Self::Usd(_) => None,
            Self::Pln { set_at, .. } => Some(newest.unwrap_or(set_at)),
        }
    }

    /// Returns the sum of two amounts of one currency.
    pub(super) fn plus(self, other: Self) -> Result<Self, InvalidBudget> {
        let sum = match (self, other) {
            (Self::Usd(amount), Self::Usd(other)) => Self::Usd(amount + other),
            (Self::Pln { amount, set_at }, Self::Pln { amount: other, .. }) => {
                Self::Pln { amount: Pln::new(amount.groszy().saturating_add(other.groszy())), set_at }
            }
            _ => return Err(InvalidBudget::OtherCurrency),
        };
        sum.checked()
    }
}

/// A limit of what may be spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Its id.
    pub id: String,
    /// The spending that it limits.
    pub scope: BudgetScope,
    /// The account or API key; empty for the company, and for each person without a budget of their
    /// own.
    pub subject: String,
    /// The time after which it is new.
    pub period: BudgetPeriod,
    /// Most that may be spent in it.
    #[serde(flatten)]
    pub limit: BudgetAmount,
    /// False where people are only warned.
    pub hard: bool,
    /// The amount that was added for one period alone, and the first day of that.
    #[serde(skip)]
    pub(super) raised: Option<(BudgetAmount, Date)>,
}

impl Budget {
    /// A budget for tests of pages.
    #[cfg(test)]
    pub(crate) fn example(
        id: &str,
        scope: BudgetScope,
        subject: &str,
        period: BudgetPeriod,
        limit: NanoUsd,
        hard: bool,
    ) -> Self {
        let (id, subject) = (id.to_owned(), subject.to_owned());
        Self { id, scope, subject, period, limit: BudgetAmount::Usd(limit), hard, raised: None }
    }

    /// Returns the limit of the period that begins on this day.
    pub(super) fn limit_from(&self, first_day: Date) -> BudgetAmount {
        self.raised_from(first_day).and_then(|raised| self.limit.plus(raised).ok()).unwrap_or(self.limit)
    }

    /// Returns the amount that was added for the period that begins on this day.
    pub(super) fn raised_from(&self, first_day: Date) -> Option<BudgetAmount> {
        self.raised.filter(|(_, raised_for)| *raised_for == first_day).map(|(amount, _)| amount)
    }
}
