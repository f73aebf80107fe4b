//! The refusal of what may cost more than what is left.

use jiff::civil::Date;
use mai_openrouter::NanoUsd;
use serde::Serialize;

use super::definition::{BudgetPeriod, BudgetScope};
use crate::zloty::Mid;

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limiter {
    /// The limit of the provider over all of the client.
    Provider,
    /// A budget that an administrator of the client set.
    #[serde(untagged)]
    Budget(BudgetScope),
}

/// A generation that was refused, because it may cost more than what is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "{}{} is {}; {} of it is spent or reserved for answers that are being written, and this one may cost up to {}. It is new on {new_on} ({zone}). {}",
    .limiter.article(), .period.as_str(), money(*.limit, *.rate), money(*.used, *.rate), money(*.most, *.rate), .limiter.remedy()
)]
pub struct OverBudget {
    /// The limit that was reached.
    #[serde(rename = "limited_by")]
    pub limiter: Limiter,
    /// The time after which it is new.
    pub period: BudgetPeriod,
    /// The limit.
    #[serde(rename = "limit_nano_usd")]
    pub limit: NanoUsd,
    /// The amount that is spent or reserved.
    #[serde(rename = "used_nano_usd")]
    pub used: NanoUsd,
    /// The most that the generation may cost.
    #[serde(rename = "most_nano_usd")]
    pub most: NanoUsd,
    /// The rate at which they are shown; none where the limit is in dollars.
    #[serde(rename = "pln_rate")]
    pub rate: Option<Mid>,
    /// The first day of the next period.
    pub new_on: Date,
    /// The time zone in which that day begins.
    pub zone: String,
}

fn money(amount: NanoUsd, rate: Option<Mid>) -> String {
    rate.map_or_else(|| amount.to_string(), |rate| format!("PLN {}", rate.pln(amount)))
}

impl Limiter {
    fn article(self) -> &'static str {
        match self {
            Self::Budget(BudgetScope::Company) => "The company's budget for a ",
            Self::Budget(BudgetScope::Person) => "Your budget for a ",
            Self::Budget(BudgetScope::Key) => "The budget of this API key for a ",
            Self::Provider => "What your provider allows the company to spend in a ",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Budget(_) => {
                "Ask for a shorter answer (max_completion_tokens), or have an administrator raise it under Usage."
            }
            Self::Provider => "Ask for a shorter answer (max_completion_tokens), or have the provider raise it.",
        }
    }
}
