//! The restricted level of the pod security standards, for every pod of an instance.

use mai_contract::files::USER;
use serde_json::{Value, json};

/// Returns the security context of a pod. Its volumes are given to the user's group, once.
pub(super) fn pod() -> Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// Returns the security context of a container. Only an image that is known to need nothing but its
/// volumes has a read-only root.
pub(super) fn container(writable_root: bool) -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": !writable_root,
        "runAsNonRoot": true,
    })
}
