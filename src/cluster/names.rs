//! Names and labels of the objects of an instance.

use serde_json::{Value, json};

use crate::core::InstanceId;

/// Field manager of every apply. It never changes, since the API server tracks the owner of a field by it.
pub(crate) const FIELD_MANAGER: &str = "mai-operator";
/// Selects all our objects.
pub(crate) const SELECTOR: &str = "app.kubernetes.io/managed-by=mai-operator";
/// Label with the name of the instance.
pub(crate) const INSTANCE: &str = "mai.dev/instance";

/// Returns the name that most objects of an instance share.
pub(crate) fn name(id: &InstanceId) -> String {
    format!("mai-{}", id.name)
}

/// Returns the name of the claim of the data.
pub(crate) fn data(id: &InstanceId) -> String {
    format!("mai-{}-data", id.name)
}

/// Returns the name of the claim of the backups.
pub(crate) fn backups(id: &InstanceId) -> String {
    format!("mai-{}-backups", id.name)
}

/// Returns the name of the Secret with the generated session key. It outlives the instance like the data,
/// which cannot be read without it.
pub(crate) fn session(id: &InstanceId) -> String {
    format!("mai-{}-session", id.name)
}

/// Returns the labels of every object of an instance.
pub(crate) fn labels(id: &InstanceId) -> Value {
    json!({
        "app.kubernetes.io/name": "mai",
        "app.kubernetes.io/instance": id.name,
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        INSTANCE: id.name,
    })
}

/// Returns what selects the pods of an instance; it can never change.
pub(crate) fn selector(id: &InstanceId) -> Value {
    json!({"app.kubernetes.io/name": "mai", INSTANCE: id.name})
}

/// Returns the metadata of an object that is removed with its instance.
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

/// Returns the metadata of an object that outlives its instance.
pub(crate) fn kept(id: &InstanceId, name: &str) -> Value {
    json!({"name": name, "namespace": id.namespace, "labels": labels(id)})
}
