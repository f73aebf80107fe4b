//! An object as it is in the cluster.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::kind::Kind;
use super::owned_fields::{OwnedField, owned_fields};

/// Name of the time of the last change, which an object has by manager.
const CHANGED: &str = "changed";

/// An object as it is in the cluster, without the fields that are not used here.
#[derive(Clone, Debug)]
pub(super) struct LiveObject {
    pub(super) kind: Kind,
    pub(super) object: Value,
    /// Fields with an owner.
    pub(super) owned: Vec<OwnedField>,
}

impl LiveObject {
    /// Returns the used fields of an object.
    pub(super) fn new(kind: Kind, object: DynamicObject) -> Self {
        let owned = owned_fields(kind, object.metadata.managed_fields.as_deref().unwrap_or_default());
        Self { kind, object: pruned(kind, object), owned }
    }

    pub(super) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(super) fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// Returns whether it is being deleted.
    pub(super) fn is_being_deleted(&self) -> bool {
        self.object["metadata"]["deletionTimestamp"].is_string()
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.object["metadata"]["labels"][name].as_str()
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.object["metadata"]["annotations"][name].as_str()
    }

    /// Returns a condition of its status.
    pub(super) fn condition(&self, kind: &str) -> Option<&Value> {
        self.object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
    }

    /// Returns the time of its creation.
    pub(super) fn created(&self) -> Option<jiff::Timestamp> {
        self.object["metadata"]["creationTimestamp"].as_str()?.parse().ok()
    }

    /// Returns the time of its last change, such as of its replicas; of a Deployment alone.
    pub(super) fn changed(&self) -> Option<jiff::Timestamp> {
        self.object["metadata"][CHANGED].as_str()?.parse().ok()
    }
}

/// Returns the used fields of an object of a kind.
fn pruned(kind: Kind, object: DynamicObject) -> Value {
    let DynamicObject { metadata, mut data, .. } = object;
    let mut meta =
        json!({"name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid, "labels": metadata.labels});
    if let Some(annotations) = metadata.annotations {
        meta["annotations"] = json!(annotations);
    }
    if let Some(owners) = metadata.owner_references {
        meta["ownerReferences"] = json!(owners);
    }
    if let Some(time) = metadata.deletion_timestamp {
        meta["deletionTimestamp"] = json!(time);
    }
    if matches!(kind, Kind::Deployment | Kind::Pod | Kind::PersistentVolumeClaim | Kind::Job) {
        meta["creationTimestamp"] = json!(metadata.creation_timestamp);
    }
    if kind == Kind::Deployment {
        meta["generation"] = json!(metadata.generation);
        let managers = metadata.managed_fields.into_iter().flatten();
        let own = managers.filter(|manager| manager.subresource.as_deref() != Some("status"));
        meta[CHANGED] = json!(own.filter_map(|manager| manager.time).max());
    }
    let mut take = |field: &str| data.get_mut(field).map(Value::take).unwrap_or_default();
    let mut kept = json!({"metadata": meta});
    match kind {
        Kind::ReplicaSet => {}
        Kind::EndpointSlice => kept["endpoints"] = endpoints(&take("endpoints")),
        Kind::Pod => kept["status"] = pod_status(take("status")),
        Kind::Job => kept["status"] = json!({"conditions": take("status")["conditions"]}),
        Kind::Deployment => {
            kept["spec"] = take("spec");
            kept["status"] = deployment_status(take("status"));
        }
        Kind::PersistentVolumeClaim | Kind::HttpRoute => {
            kept["spec"] = take("spec");
            kept["status"] = take("status");
        }
        Kind::ServiceAccount => {
            for field in ["automountServiceAccountToken", "imagePullSecrets", "secrets"] {
                kept[field] = take(field);
            }
        }
        Kind::Service | Kind::NetworkPolicy | Kind::PodDisruptionBudget | Kind::Ingress | Kind::Secret => {
            kept["spec"] = take("spec");
        }
    }
    kept
}

/// Returns of each endpoint whether it is ready.
fn endpoints(endpoints: &Value) -> Value {
    let all = endpoints.as_array().into_iter().flatten();
    all.map(|endpoint| json!({"conditions": {"ready": endpoint["conditions"]["ready"]}})).collect()
}

/// Removes times that change when nothing else does.
fn deployment_status(mut status: Value) -> Value {
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if let Some(fields) = condition.as_object_mut() {
            fields.remove("lastTransitionTime");
        }
    }
    status
}

fn pod_status(mut status: Value) -> Value {
    let mut kept = json!({"phase": status["phase"].take()});
    let conditions = status["conditions"].take();
    kept["conditions"] = conditions
        .as_array()
        .into_iter()
        .flatten()
        .map(|condition| {
            json!({"type": condition["type"], "status": condition["status"], "reason": condition["reason"], "message": condition["message"]})
        })
        .collect();
    kept["podIP"] = status["podIP"].take();
    kept["containerStatuses"] = status["containerStatuses"].take();
    kept["reason"] = status["reason"].take();
    kept["message"] = status["message"].take();
    kept
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn deployment_has_the_time_of_its_last_change() {
        let manager = |at: &str, subresource: Option<&str>| json!({"manager": "m", "operation": "Apply", "apiVersion": "apps/v1", "time": at, "subresource": subresource});
        let managers = [
            manager("2026-11-30T02:00:00Z", None),
            manager("2026-11-30T03:00:00Z", Some("scale")),
            manager("2026-11-30T04:00:00Z", Some("status")),
        ];
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "creationTimestamp": "2026-11-30T01:00:00Z", "managedFields": managers},
        });
        let live = LiveObject::new(Kind::Deployment, serde_json::from_value(object).unwrap());
        assert_eq!(live.changed(), Some("2026-11-30T03:00:00Z".parse().unwrap()));
    }
}
