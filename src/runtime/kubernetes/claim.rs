//! The PersistentVolumeClaims of an instance. They have no owner: data outlives its document.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::api::parse_bytes;
use crate::cluster::names;
use crate::core::{Claim, InstanceId};

/// Sizes that claims were refused, by the name of the claim.
pub(super) type Refusals = BTreeMap<String, Refusal>;

/// A size that a claim was refused. It is not asked for again until another one is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The size.
    pub(super) size: String,
    /// What was said, as a sentence.
    pub(super) said: String,
}

/// A claim of an instance; `standing` is how large it is already.
pub(super) fn claim(
    id: &InstanceId,
    name: &str,
    claim: &Claim,
    standing: Option<&str>,
    refusal: Option<&Refusal>,
) -> Value {
    // A claim cannot shrink, what somebody made larger stays so, and what was refused would be refused again.
    let refused = refusal.is_some_and(|refusal| refusal.size == claim.size);
    let size = standing.filter(|standing| refused || covers(standing, &claim.size)).unwrap_or(&claim.size);
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": names::kept(id, name),
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

/// How large a claim is asked to be.
pub(super) fn size(claim: &Value) -> Option<&str> {
    claim["spec"]["resources"]["requests"]["storage"].as_str()
}

/// Whether what stands is at least as large.
pub(super) fn covers(standing: &str, wanted: &str) -> bool {
    matches!((parse_bytes(standing), parse_bytes(wanted)), (Ok(standing), Ok(wanted)) if standing >= wanted)
}
