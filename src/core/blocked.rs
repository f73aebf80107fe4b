//! The reason why no workload can be derived from a document.

use crate::api::Reason;

/// Reason why no workload can be derived from a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// Reason of the condition.
    pub reason: Reason,
    /// The problem and its remedy.
    pub message: String,
}

impl Blocked {
    /// Makes one.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}
