//! What every pod of ours may not do: the restricted level of the pod security standards, from one place.

use mai_contract::files::USER;
use serde_json::{Value, json};

/// Security context of a pod. Its volumes are handed to the user's group, once.
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

/// Security context of a container. An image that is not known to need nothing but its volumes may write to its own root.
pub(super) fn container(writable_root: bool) -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "privileged": false,
        "readOnlyRootFilesystem": !writable_root,
        "runAsNonRoot": true,
    })
}
