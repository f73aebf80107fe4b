//! `status.usage`: how much the client uses its instance, as its server counts it.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Use of an instance, in numbers without names. It is written again when something of it changed,
/// and numbers that only grew every ten minutes at most.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UsageStatus {
    /// Living accounts.
    pub accounts: i64,

    /// People who asked a model in the last 30 days.
    pub active_people: i64,

    /// Month of the amounts, in the client's time zone, such as 2026-11.
    pub month: String,

    /// Known cost of the month at the upstream, in USD, rounded to cents.
    pub cost_usd: String,

    /// Price of the month that the client is billed, in USD, rounded to cents. Absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_usd: Option<String>,

    /// Generations of the month whose cost is not known (yet), and which no amount includes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_costs: i64,

    /// Limit of the month in USD: the declared one, or that of the key at the upstream, whichever is
    /// nearer to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_usd: Option<String>,

    /// The highest of 75, 90 and 100 % of that limit that was reached; 0 below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_level: Option<i32>,

    /// State of the key at the upstream.
    #[serde(default)]
    pub key: KeyStatus,

    /// Time at which the key expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub key_expires_at: Option<Timestamp>,

    /// Comparison of the ledger with the upstream's bill for the keys that mai made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<BillStatus>,

    /// Time at which the server told these numbers first.
    #[schemars(schema_with = "super::time_schema::time")]
    pub as_of: Timestamp,

    /// Time since which the server does not tell them; absent while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub unknown_since: Option<Timestamp>,
}

/// Comparison of the last 30 completed days (UTC).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BillStatus {
    /// The last day that was compared.
    pub compared_through: String,

    /// Billed and not in the ledger, in USD; negative where the ledger has more.
    pub unattributed_usd: String,

    /// Days and models that differ, the largest differences first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// State of the key at the upstream.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyStatus {
    /// The upstream accepts it.
    Accepted,
    /// The upstream refuses it: it is wrong, disabled, deleted or expired.
    Refused,
    /// The upstream does not answer.
    Unreachable,
    /// There is none, the upstream keeps no record of keys, or it was not asked yet.
    #[default]
    Unknown,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl UsageStatus {
    /// Returns a sentence about the part of the limit that was reached; nothing below three quarters.
    pub fn limit_message(&self) -> Option<String> {
        let level = self.limit_level.filter(|level| *level > 0)?;
        let limit = self.limit_usd.as_deref()?;
        Some(format!("{level} % of the limit of {limit} USD in {} is used", self.month))
    }
}
