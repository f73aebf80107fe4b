//! A limit of what may be spent.

use jiff::civil::Date;
use mai_openrouter::NanoUsd;
use serde::{Deserialize, Serialize};

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
    pub limit_nano_usd: i64,
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
    pub(super) fn checked_limit(&self) -> Result<NanoUsd, InvalidBudget> {
        let needs_subject = match self.scope {
            BudgetScope::Company => Some(false),
            BudgetScope::Key => Some(true),
            BudgetScope::Person => None,
        };
        if needs_subject.is_some_and(|needs| needs == self.subject.is_empty()) {
            return Err(InvalidBudget::Subject);
        }
        checked_amount(self.limit_nano_usd)
    }
}

/// Returns an amount that a limit may have.
pub(super) fn checked_amount(nano_usd: i64) -> Result<NanoUsd, InvalidBudget> {
    let amount = NanoUsd::new(nano_usd);
    if (NanoUsd::ZERO..=HIGHEST).contains(&amount) { Ok(amount) } else { Err(InvalidBudget::Limit) }
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
    #[serde(rename = "limit_nano_usd")]
    pub limit: NanoUsd,
    /// False where people are only warned.
    pub hard: bool,
    /// The amount that was added for one period alone.
    #[serde(skip)]
    pub(super) raised: NanoUsd,
    /// The first day of that period.
    #[serde(skip)]
    pub(super) raised_for: Option<Date>,
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
        Self { id, scope, subject, period, limit, hard, raised: NanoUsd::ZERO, raised_for: None }
    }

    /// Returns the limit of the period that begins on this day.
    pub(super) fn limit_from(&self, first_day: Date) -> NanoUsd {
        if self.raised_for == Some(first_day) { self.limit + self.raised } else { self.limit }
    }
}
