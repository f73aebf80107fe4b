//! How the objects of an instance are called, and the labels that say whose they are.

use serde_json::{Value, json};

use crate::core::InstanceId;

/// Who applies them: one name for ever, since the API server keeps by it whose a field is.
pub(crate) const FIELD_MANAGER: &str = "mai-operator";
/// What all objects of ours are found by.
pub(crate) const SELECTOR: &str = "app.kubernetes.io/managed-by=mai-operator";
/// The label that names the instance.
pub(crate) const INSTANCE: &str = "mai.dev/instance";

/// The name that most objects of an instance share.
pub(crate) fn name(id: &InstanceId) -> String {
    format!("mai-{}", id.name)
}

/// The claim of the data.
pub(crate) fn data(id: &InstanceId) -> String {
    format!("mai-{}-data", id.name)
}

/// The claim of the backups.
pub(crate) fn backups(id: &InstanceId) -> String {
    format!("mai-{}-backups", id.name)
}

/// The Secret with the key made for its sessions. It is kept as the data is, which cannot be read without it.
pub(crate) fn session(id: &InstanceId) -> String {
    format!("mai-{}-session", id.name)
}

/// The labels of every object of an instance.
pub(crate) fn labels(id: &InstanceId) -> Value {
    json!({
        "app.kubernetes.io/name": "mai",
        "app.kubernetes.io/instance": id.name,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        INSTANCE: id.name,
    })
}

/// What selects the pods of an instance; it can never change.
pub(crate) fn selector(id: &InstanceId) -> Value {
    json!({"app.kubernetes.io/name": "mai", INSTANCE: id.name})
}

/// Metadata of an object that goes with its instance.
pub(crate) fn owned(id: &InstanceId, name: &str) -> Value {
    json!({
        "name": name,
        "namespace": id.namespace,
        "labels": labels(id),
        "ownerReferences": [{
            "apiVersion": crate::api::API_VERSION,
            "kind": "MaiInstance",
            "name": id.name,
            "uid": id.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    })
}

/// Metadata of an object that outlives its instance.
pub(crate) fn kept(id: &InstanceId, name: &str) -> Value {
    json!({"name": name, "namespace": id.namespace, "labels": labels(id)})
}
