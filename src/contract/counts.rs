//! The use that is made of an instance, as its server tells the reconciler: numbers, and nothing of
//! names, addresses or content.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The counts of an instance at one moment. Amounts are in nano-USD (billionths of a US dollar).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Version of this answer: [`Counts::VERSION`]. Fields may be added under the same one.
    pub version: u32,
    /// Living accounts.
    pub accounts: u64,
    /// Most accounts that are allowed.
    pub max_accounts: u64,
    /// People who asked a model since midnight, in the client's time zone.
    pub active_today: u64,
    /// People who asked a model in the last 30 days.
    pub active_30_days: u64,
    /// Stored chats.
    pub chats: u64,
    /// The current month.
    pub month: MonthCounts,
    /// The key of the upstream.
    pub key: KeyCounts,
}

/// Usage of the current month, in the client's time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthCounts {
    /// The month, such as 2026-11.
    pub month: String,
    /// Generations requested, however they ended.
    pub requests: u64,
    /// Known cost at the upstream.
    pub cost_nano_usd: i64,
    /// Price that the client is billed for them; null while it is not known.
    pub price_nano_usd: Option<i64>,
    /// Ended generations whose cost is not known (yet), and which no sum includes.
    pub unknown_costs: u64,
}

/// The upstream's record of the key in use, as it was when the server last asked for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// State of the key.
    pub state: KeyState,
    /// Time at which the upstream was asked; null before the first time.
    pub checked_at: Option<Timestamp>,
    /// Time at which the key expires; null where it does not, or that is not known.
    pub expires_at: Option<Timestamp>,
    /// Most that may be spent with the key; null where it has no limit, or that is not known.
    pub limit_nano_usd: Option<i64>,
    /// Rest of that limit.
    pub limit_left_nano_usd: Option<i64>,
    /// The limit begins anew each month, UTC.
    pub limit_is_monthly: bool,
}

/// State of the key of the upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// The upstream accepts it.
    Ok,
    /// The upstream refuses it: it is wrong, disabled, deleted or expired.
    Refused,
    /// The upstream did not answer.
    Unreachable,
    /// There is no key, the upstream keeps no record of keys, or it was not asked yet.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Counts {
    /// The version that this program writes and reads.
    pub const VERSION: u32 = 1;
    /// Most bytes of an answer that are read.
    pub const MAX_BYTES: usize = 16 * 1024;
}
