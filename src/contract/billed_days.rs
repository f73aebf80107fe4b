//! The cost of what an instance sent over the connection of its provider, as its server tells the
//! reconciler: numbers and models, and nothing of people or content.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// The costs of today and of the days before it that an upstream still has a bill of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledDays {
    /// One for each day and model that cost something.
    pub days: Vec<BilledDay>,
}

/// The known cost of one day (UTC) with one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledDay {
    /// Day on which the generations were asked for.
    pub day: Date,
    /// The model that answered.
    pub model: String,
    /// Generations whose cost is known.
    pub requests: u64,
    /// Their cost at the upstream, in nano-USD.
    pub cost_nano_usd: i64,
}

impl BilledDays {
    /// Completed days that an upstream has a bill of.
    pub const COMPLETED: i32 = 30;
    /// Most entries, the dearest first.
    pub const MOST: usize = 5_000;
    /// Most bytes of an answer that are read.
    pub const MAX_BYTES: usize = 4 << 20;
}
