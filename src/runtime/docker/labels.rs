//! Labels of containers and volumes: their instance, and what they were created from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::core::InstanceId;

/// Prefix of our labels.
pub(super) const OURS: &str = "mai.dev/";
/// Name of the instance.
pub(super) const INSTANCE: &str = "mai.dev/instance";
const NAMESPACE: &str = "mai.dev/namespace";
const UID: &str = "mai.dev/uid";
const HASH: &str = "mai.dev/hash";
const RECREATE_HASH: &str = "mai.dev/recreate-hash";
/// Name of the job that a container runs, instead of a server.
pub(super) const JOB: &str = "mai.dev/job";
const STATE: &str = "mai.dev/state";
const IMAGE_DIGEST: &str = "mai.dev/image-digest";
const TOLERATED: &str = "mai.dev/tolerated";
const COMPARISON: &str = "mai.dev/comparison";

/// Values of the labels of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) id: InstanceId,
    /// `Workload::hash`.
    pub(super) hash: String,
    /// Hash of every field that cannot be changed afterwards.
    pub(super) recreate_hash: String,
    /// Id of the state directory of the instance.
    pub(super) state: String,
    /// Digest of the image in its registry, or its id where it came from none.
    pub(super) image_digest: String,
    /// Fields that the engine did not create as desired.
    pub(super) tolerated: BTreeSet<String>,
    /// Version of the comparison at its creation (`fields::VERSION`); empty on older containers.
    pub(super) comparison: String,
}

impl Labels {
    /// Returns the labels of a container.
    pub(super) fn write(&self) -> BTreeMap<String, String> {
        let mut labels = owner(&self.id, &self.state);
        for (key, value) in [
            (HASH, &self.hash),
            (RECREATE_HASH, &self.recreate_hash),
            (IMAGE_DIGEST, &self.image_digest),
            (COMPARISON, &self.comparison),
        ] {
            labels.insert(key.to_owned(), value.clone());
        }
        if !self.tolerated.is_empty() {
            labels
                .insert(TOLERATED.to_owned(), self.tolerated.iter().map(String::as_str).collect::<Vec<_>>().join(","));
        }
        labels
    }

    /// Reads the labels of a container; `None` for a container that is not ours.
    pub(super) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let text = |key: &str| labels.get(key).cloned().unwrap_or_default();
        let tolerated = text(TOLERATED);
        Some(Self {
            id: read_owner(labels)?,
            hash: text(HASH),
            recreate_hash: text(RECREATE_HASH),
            state: text(STATE),
            image_digest: text(IMAGE_DIGEST),
            comparison: text(COMPARISON),
            tolerated: tolerated.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// Returns the labels that name the instance of an object.
pub(super) fn owner(id: &InstanceId, state: &str) -> BTreeMap<String, String> {
    [(INSTANCE, &id.name), (NAMESPACE, &id.namespace), (UID, &id.uid), (STATE, &state.to_owned())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

/// Returns the instance of an object; `None` for an object that is not ours.
pub(super) fn read_owner(labels: &HashMap<String, String>) -> Option<InstanceId> {
    Some(InstanceId {
        namespace: labels.get(NAMESPACE)?.clone(),
        name: labels.get(INSTANCE)?.clone(),
        uid: labels.get(UID)?.clone(),
    })
}

/// Returns the id of the state directory that created an object.
pub(super) fn read_state(labels: &HashMap<String, String>) -> Option<&str> {
    labels.get(STATE).map(String::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn written_labels_are_read_back() {
        let labels = Labels {
            id: InstanceId { namespace: "default".into(), name: "abc".into(), uid: "1".into() },
            hash: "h".into(),
            recreate_hash: "r".into(),
            state: "s".into(),
            image_digest: "sha256:1".into(),
            tolerated: ["init".to_owned(), "log".to_owned()].into(),
            comparison: "2".into(),
        };
        let written: HashMap<String, String> = labels.write().into_iter().collect();
        assert!(written.keys().all(|key| key.starts_with(OURS)));
        assert_eq!(Labels::read(&written).unwrap(), labels);
        assert_eq!(Labels::read(&HashMap::from([("mai.dev/instance".to_owned(), "abc".to_owned())])), None);
    }
}
