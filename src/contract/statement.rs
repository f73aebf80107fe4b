//! The statement of a closed month, as `GET /internal/statements/YYYY-MM` answers it. Amounts are
//! integers of nano-USD. What the client is shown has names, and no costs and margins.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// A statement.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct StatementReport {
    /// The month, such as `2026-11`.
    pub month: String,
    /// The time zone of its days.
    pub time_zone: String,
    /// Time at which it was frozen.
    pub frozen_at: Timestamp,
    /// The exchange rate of the month; absent while none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<StatementRate>,
    /// Everything that is billed: usage and corrections.
    pub total: Amounts,
    /// Usage of the month itself.
    pub usage: Amounts,
    /// Corrections of former months.
    pub corrections: Amounts,
    /// Usage over a connection of the client's own, which it pays itself. It is in no other sum.
    pub own_connection: Amounts,
    /// Billed usage of the month by person, highest price first.
    pub people: Vec<PersonAmounts>,
    /// Billed usage of the month by model, highest price first.
    pub models: Vec<ModelAmounts>,
    /// All rows, corrections and usage over an own connection among them.
    pub lines: Vec<StatementLine>,
    /// The people who asked a model or signed in, by day.
    pub seats: Vec<SeatDay>,
}

/// An exchange rate: złoty for one US dollar.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct StatementRate {
    /// `frozen`, or `provisional` while the month's own is not known yet.
    pub basis: String,
    /// The day of the table.
    pub date: Date,
    /// `nbp`, `manual` or `document`.
    pub source: String,
    /// The number of the table.
    pub table: String,
    /// The rate, such as `3.6123`.
    pub mid: String,
}

/// Sums of usage.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Calls of models, however they ended.
    pub requests: i64,
    /// Tokens of the questions.
    pub prompt_tokens: i64,
    /// Tokens of the answers.
    pub completion_tokens: i64,
    /// Both together.
    pub total_tokens: i64,
    /// Calls whose cost was not known; they are in no amount.
    pub unknown_cost: i64,
    /// The price.
    pub price_nano_usd: i64,
    /// The price in złoty, made from the exact sum and rounded once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_pln: Option<String>,
    /// The cost: the upstream's charges to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<i64>,
    /// Charges of model providers besides, to a key of one's own with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_key_cost_nano_usd: Option<i64>,
    /// The price without the cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_nano_usd: Option<i64>,
}

/// Sums of a person.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct PersonAmounts {
    /// Their id.
    pub user_id: String,
    /// Their name now; empty where it was erased, and to the provider.
    pub name: String,
    /// Their e-mail now; empty where it was erased, and to the provider.
    pub email: String,
    /// The sums.
    #[serde(flatten)]
    pub amounts: Amounts,
}

/// Sums of a model.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ModelAmounts {
    /// The model.
    pub model: String,
    /// The sums.
    #[serde(flatten)]
    pub amounts: Amounts,
}

/// A row of a statement.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// The month of the usage: that of the statement, or a former one, which it corrects.
    pub period: String,
    /// The id of the person.
    pub user_id: String,
    /// Their name now; empty where it was erased, and to the provider.
    pub name: String,
    /// Their e-mail now; empty where it was erased, and to the provider.
    pub email: String,
    /// The model.
    pub model: String,
    /// The purpose of the calls.
    pub purpose: String,
    /// False for usage over a connection of the client's own.
    pub billed: bool,
    /// The sums.
    #[serde(flatten)]
    pub amounts: Amounts,
}

/// The people who were active on a day.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct SeatDay {
    /// The day.
    pub day: Date,
    /// Their number.
    pub count: usize,
    /// Their ids.
    pub user_ids: Vec<String>,
}
