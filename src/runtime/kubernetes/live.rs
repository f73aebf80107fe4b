//! One object as it is in the cluster.

use serde_json::Value;

use super::kind::Kind;

/// One object as it is in the cluster, without what nobody here looks at.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) kind: Kind,
    pub(super) object: Value,
}

impl Live {
    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// Whether it is on its way out.
    pub(super) fn is_leaving(&self) -> bool {
        self.object["metadata"]["deletionTimestamp"].is_string()
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.object["metadata"]["labels"][name].as_str()
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.object["metadata"]["annotations"][name].as_str()
    }

    /// A condition of its status.
    pub(super) fn condition(&self, kind: &str) -> Option<&Value> {
        self.object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
    }

    /// When something happened to it, by one of its fields.
    pub(super) fn created(&self) -> Option<jiff::Timestamp> {
        self.object["metadata"]["creationTimestamp"].as_str()?.parse().ok()
    }
}
