//! Names and labels of the objects of an instance.

use serde_json::{Value, json};

use crate::core::InstanceId;

/// Field manager of the operator. It never changes, since the API server records by it which fields
/// are the operator's.
pub(crate) const FIELD_MANAGER: &str = "mai-operator";
/// Label selector of all objects of all instances.
pub(crate) const SELECTOR: &str = "app.kubernetes.io/managed-by=mai-operator";
/// Label that names the instance.
pub(crate) const INSTANCE: &str = "mai.dev/instance";

/// Returns the name that most objects of an instance share.
pub(crate) fn object_name(id: &InstanceId) -> String {
    format!("mai-{}", id.name)
}

/// Returns the name of the claim for the data.
pub(crate) fn data_claim(id: &InstanceId) -> String {
    format!("mai-{}-data", id.name)
}

/// Returns the name of the claim for the backups.
pub(crate) fn backups_claim(id: &InstanceId) -> String {
    format!("mai-{}-backups", id.name)
}

/// Returns the name of the Secret with the session key. It is retained with the data, which cannot
/// be read without it.
pub(crate) fn session_secret(id: &InstanceId) -> String {
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

/// Returns the labels that select the pods of an instance. A Deployment's selector cannot change.
pub(crate) fn pod_selector(id: &InstanceId) -> Value {
    json!({"app.kubernetes.io/name": "mai", INSTANCE: id.name})
}

/// Returns the metadata of an object that is deleted with its instance.
pub(crate) fn owned_metadata(id: &InstanceId, name: &str) -> Value {
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
pub(crate) fn retained_metadata(id: &InstanceId, name: &str) -> Value {
    json!({"name": name, "namespace": id.namespace, "labels": labels(id)})
}
