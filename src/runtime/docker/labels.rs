//! What stands in the labels of everything we make: whose it is, and what it was made from. There is no other memory of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::core::InstanceId;

/// All our labels begin with this.
pub(super) const OURS: &str = "mai.dev/";
/// Name of the instance.
pub(super) const INSTANCE: &str = "mai.dev/instance";
const NAMESPACE: &str = "mai.dev/namespace";
const UID: &str = "mai.dev/uid";
const HASH: &str = "mai.dev/hash";
const RECREATE_HASH: &str = "mai.dev/recreate-hash";
const STATE: &str = "mai.dev/state";
const IMAGE_DIGEST: &str = "mai.dev/image-digest";
const TOLERATED: &str = "mai.dev/tolerated";

/// What the labels of a container say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) id: InstanceId,
    /// `Workload::hash`.
    pub(super) hash: String,
    /// Hash of every field that cannot be changed afterwards.
    pub(super) recreate_hash: String,
    /// Which state directory knows the instance.
    pub(super) state: String,
    /// Digest of the image in its registry, or its id where it came from none.
    pub(super) image_digest: String,
    /// Fields that this engine makes otherwise than asked, seen when the container was made.
    pub(super) tolerated: BTreeSet<String>,
}

impl Labels {
    /// What a container is labelled with.
    pub(super) fn write(&self) -> BTreeMap<String, String> {
        let mut labels = owner(&self.id, &self.state);
        for (key, value) in
            [(HASH, &self.hash), (RECREATE_HASH, &self.recreate_hash), (IMAGE_DIGEST, &self.image_digest)]
        {
            labels.insert(key.to_owned(), value.clone());
        }
        if !self.tolerated.is_empty() {
            labels
                .insert(TOLERATED.to_owned(), self.tolerated.iter().map(String::as_str).collect::<Vec<_>>().join(","));
        }
        labels
    }

    /// Reads what [`Labels::write`] wrote; `None` for what is not ours.
    pub(super) fn read(labels: &HashMap<String, String>) -> Option<Self> {
        let text = |key: &str| labels.get(key).cloned().unwrap_or_default();
        let tolerated = text(TOLERATED);
        Some(Self {
            id: read_owner(labels)?,
            hash: text(HASH),
            recreate_hash: text(RECREATE_HASH),
            state: text(STATE),
            image_digest: text(IMAGE_DIGEST),
            tolerated: tolerated.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect(),
        })
    }
}

/// The labels that say whose something is.
pub(super) fn owner(id: &InstanceId, state: &str) -> BTreeMap<String, String> {
    [(INSTANCE, &id.name), (NAMESPACE, &id.namespace), (UID, &id.uid), (STATE, &state.to_owned())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

/// Whose something is, when it is ours.
pub(super) fn read_owner(labels: &HashMap<String, String>) -> Option<InstanceId> {
    Some(InstanceId {
        namespace: labels.get(NAMESPACE)?.clone(),
        name: labels.get(INSTANCE)?.clone(),
        uid: labels.get(UID)?.clone(),
    })
}

/// Which state directory made something.
pub(super) fn read_state(labels: &HashMap<String, String>) -> Option<&str> {
    labels.get(STATE).map(String::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let labels = Labels {
            id: InstanceId { namespace: "default".into(), name: "abc".into(), uid: "1".into() },
            hash: "h".into(),
            recreate_hash: "r".into(),
            state: "s".into(),
            image_digest: "sha256:1".into(),
            tolerated: ["init".to_owned(), "log".to_owned()].into(),
        };
        let written: HashMap<String, String> = labels.write().into_iter().collect();
        assert!(written.keys().all(|key| key.starts_with(OURS)));
        assert_eq!(Labels::read(&written).unwrap(), labels);
        assert_eq!(Labels::read(&HashMap::from([("mai.dev/instance".to_owned(), "abc".to_owned())])), None);
    }
}
