//! The PersistentVolumeClaims of an instance. They have no owner: data outlives its document.

use serde_json::{Value, json};

use super::names;
use crate::api::parse_bytes;
use crate::runtime::{Claim, InstanceId};

/// A claim of an instance; `standing` is how large it is already.
pub(super) fn claim(id: &InstanceId, name: &str, claim: &Claim, standing: Option<&str>) -> Value {
    // A claim cannot shrink, and what somebody made larger stays so.
    let size = standing.filter(|standing| larger(standing, &claim.size)).unwrap_or(&claim.size);
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

fn larger(one: &str, other: &str) -> bool {
    matches!((parse_bytes(one), parse_bytes(other)), (Ok(one), Ok(other)) if one > other)
}
