//! Names and labels of the objects of an instance.

use serde_json::{Value, json};

use crate::core::{InstanceId, hash_texts};

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

/// Returns the name of the Secret with the keys that were made for an instance at its upstream.
pub(crate) fn keys_secret(id: &InstanceId) -> String {
    format!("mai-{}-upstream-keys", id.name)
}

/// Label of the objects of a job: its name. Objects with it are not those of the server.
pub(crate) const JOB: &str = "mai.dev/job";
/// Longest value of a label, and so longest name of a Job.
const LONGEST_LABEL: usize = 63;

/// Returns the name of the objects of a job. A long name of an instance is shortened and made unique
/// by a hash.
pub(crate) fn job_object(id: &InstanceId, job: &str) -> String {
    const HASH: usize = 8;
    let name = format!("mai-{}-{job}", id.name);
    let excess = name.len().saturating_sub(LONGEST_LABEL);
    if excess == 0 {
        return name;
    }
    let length = id.name.len().saturating_sub(excess + HASH + 1);
    let short: String = id.name.chars().take(length).collect();
    format!("mai-{short}-{}-{job}", &hash_texts([id.name.as_str()])[..HASH])
}

/// Returns the labels of the objects and the pod of a job. The selectors of the server's objects do
/// not match them.
pub(crate) fn job_labels(id: &InstanceId, job: &str) -> Value {
    let mut labels = labels(id);
    labels["app.kubernetes.io/name"] = "mai-job".into();
    labels[JOB] = job.into();
    labels
}

/// Returns the metadata of an object of a job. It is deleted with its instance.
pub(crate) fn job_metadata(id: &InstanceId, job: &str) -> Value {
    let mut metadata = owned_metadata(id, &job_object(id, job));
    metadata["labels"] = job_labels(id, job);
    metadata
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_job_is_a_label_and_its_own() {
        const JOB: &str = "20261130-020000-1f2e3d";
        let id = |name: String| InstanceId { namespace: "n".into(), name, uid: "u".into() };
        let name = |name: &str| job_object(&id(name.to_owned()), JOB);
        assert_eq!(name("abc"), "mai-abc-20261130-020000-1f2e3d");
        let long = "a".repeat(39);
        let (one, other) = (name(&format!("{long}b")), name(&format!("{long}c")));
        assert!(one.len() <= LONGEST_LABEL && one.starts_with("mai-aaaa") && one.ends_with(JOB), "{one}");
        assert_ne!(one, other);
    }
}
