//! What a replacement replaced, as labels of its Deployment; annotations would count as a new generation of it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::live::Live;

/// The ReplicaSet that keeps the former pod template.
const FORMER: &str = "mai.dev/former";
/// When it was replaced, in seconds of Unix time.
const REPLACED_AT: &str = "mai.dev/replaced-at";

/// A pod template that was replaced and is kept until its replacement answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    /// The ReplicaSet that keeps it.
    pub(super) former: String,
    /// When it was replaced.
    pub(super) at: Timestamp,
}

impl Replaced {
    /// As a Deployment says it.
    pub(super) fn read(deployment: &Live) -> Option<Self> {
        let former = deployment.label(FORMER)?.to_owned();
        let at = deployment.label(REPLACED_AT).and_then(|seconds| seconds.parse().ok());
        let at = at.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        Some(Self { former, at })
    }

    /// Says it on a Deployment.
    pub(super) fn write(&self, labels: &mut Value) {
        labels[FORMER] = json!(self.former);
        labels[REPLACED_AT] = json!(self.at.as_second().to_string());
    }

    /// The change of a Deployment that takes it back.
    pub(super) fn forget() -> Value {
        json!({"metadata": {"labels": {FORMER: null, REPLACED_AT: null}}})
    }
}
