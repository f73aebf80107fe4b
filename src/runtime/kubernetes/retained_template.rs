//! The pod template that a replacement replaced, as labels of its Deployment; annotations would
//! count as a new generation of it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::live_object::LiveObject;

/// Label with the name of the ReplicaSet that retains the former pod template.
const FORMER: &str = "mai.dev/former";
/// Label with the time of the replacement, in seconds of Unix time.
const REPLACED_AT: &str = "mai.dev/replaced-at";

/// A pod template that was replaced and is retained until its replacement is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RetainedTemplate {
    /// Name of the ReplicaSet that retains it.
    pub(super) replica_set: String,
    /// Time of the replacement.
    pub(super) replaced_at: Timestamp,
}

impl RetainedTemplate {
    /// Reads it from the labels of a Deployment.
    pub(super) fn from_deployment(deployment: &LiveObject) -> Option<Self> {
        let replica_set = deployment.label(FORMER)?.to_owned();
        let at = deployment.label(REPLACED_AT).and_then(|seconds| seconds.parse().ok());
        let at = at.and_then(|seconds| Timestamp::from_second(seconds).ok());
        Some(Self { replica_set, replaced_at: at.unwrap_or(Timestamp::UNIX_EPOCH) })
    }

    /// Adds it to the labels of a Deployment.
    pub(super) fn add_labels(&self, labels: &mut Value) {
        labels[FORMER] = json!(self.replica_set);
        labels[REPLACED_AT] = json!(self.replaced_at.as_second().to_string());
    }

    /// Returns the merge patch that removes it from a Deployment.
    pub(super) fn removal_patch() -> Value {
        json!({"metadata": {"labels": {FORMER: null, REPLACED_AT: null}}})
    }
}
