//! The PersistentVolumeClaims of an instance. They have no owner: data outlives its document.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::parse_bytes;
use crate::cluster::names;
use crate::core::{Claim, InstanceId, Workload};

/// Refused sizes of the claims of one instance, by the name of the claim.
pub(super) type Refusals = BTreeMap<String, Refusal>;

/// A size that a claim was refused. It is requested again after an interval, since a class or a
/// quota may have changed, and when the claim changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The size.
    pub(super) size: String,
    /// The refusal as a sentence.
    pub(super) message: String,
    /// Time of the refusal.
    pub(super) at: Instant,
}

impl Refusal {
    /// Returns whether the size is requested again.
    fn is_due(&self, interval: Duration) -> bool {
        self.at.elapsed() >= interval
    }
}

/// Returns the name and the declaration of each claim that a workload has made for it.
pub(super) fn declared_claims(workload: &Workload) -> impl Iterator<Item = (String, &Claim)> {
    let (id, cluster) = (&workload.id, &workload.cluster);
    let claims = [(names::data_claim(id), &cluster.data), (names::backups_claim(id), &cluster.backups)];
    claims.into_iter().filter(|(_, claim)| claim.existing.is_none())
}

/// Returns the refusals of sizes that are declared now.
pub(super) fn current_refusals(workload: &Workload, mut refusals: Refusals) -> Refusals {
    refusals.retain(|name, refusal| {
        declared_claims(workload).any(|(declared, claim)| declared == *name && claim.size == refusal.size)
    });
    refusals
}

/// Returns the refusals that are not requested again yet.
pub(super) fn recent_refusals(mut refusals: Refusals, interval: Duration) -> Refusals {
    refusals.retain(|_, refusal| !refusal.is_due(interval));
    refusals
}

/// Returns a claim of an instance. `current_size` is that of the existing claim, and `refused`
/// whether the declared size was refused.
pub(super) fn claim(id: &InstanceId, name: &str, claim: &Claim, current_size: Option<&str>, refused: bool) -> Value {
    // A claim cannot shrink, and one that somebody enlarged stays so.
    let size = current_size.filter(|current| refused || covers(current, &claim.size)).unwrap_or(&claim.size);
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": names::retained_metadata(id, name),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        },
    });
    if let Some(class) = &claim.class {
        object["spec"]["storageClassName"] = json!(class);
    }
    object
}

/// Returns the requested size of a claim.
pub(super) fn requested_size(claim: &Value) -> Option<&str> {
    claim["spec"]["resources"]["requests"]["storage"].as_str()
}

/// Returns whether a size is at least as large as another.
pub(super) fn covers(size: &str, other: &str) -> bool {
    matches!((parse_bytes(size), parse_bytes(other)), (Ok(size), Ok(other)) if size >= other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_size_is_requested_again_after_the_interval() {
        let interval = Duration::from_secs(60);
        let refusal = |at| Refusal { size: "2Gi".to_owned(), message: "refused".to_owned(), at };
        let (Some(before), now) = (Instant::now().checked_sub(interval), Instant::now()) else { return };
        let all = Refusals::from([("old".to_owned(), refusal(before)), ("new".to_owned(), refusal(now))]);
        let recent = recent_refusals(all, interval);
        assert_eq!(recent.into_keys().collect::<Vec<_>>(), ["new"]);
    }

    #[test]
    fn claim_never_shrinks_and_keeps_its_size_while_refused() {
        let id = InstanceId { namespace: "n".into(), name: "abc".into(), uid: "u".into() };
        let declared = Claim { size: "2Gi".to_owned(), class: None, existing: None };
        for (current, refused, expected) in
            [(None, false, "2Gi"), (Some("1Gi"), false, "2Gi"), (Some("1Gi"), true, "1Gi"), (Some("3Gi"), false, "3Gi")]
        {
            let object = claim(&id, "mai-abc-data", &declared, current, refused);
            assert_eq!(requested_size(&object), Some(expected), "{current:?} {refused}");
        }
    }
}
