//! A known instance as the object that a cluster would show.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

use crate::api::{
    DOCUMENT_FILE, DOCUMENT_MARKS, DOCUMENT_PROBLEM, DOCUMENT_REFUSED, FINALIZER, Finding, KEPT, MaiInstance,
    PlatformKind, check,
};
use crate::state::KnownDocument;

/// Checks a document as [`check`] does, and that it can be shown as an object; returns it in the
/// form in which it is kept.
pub(crate) fn accept(
    document: &Value,
    old: Option<&Value>,
    platform: Option<PlatformKind>,
) -> Result<Value, Vec<Finding>> {
    let finding = |path: &str, message: String| vec![Finding { path: path.to_owned(), message }];
    let full = kept(check(document, old, platform)?);
    let namespace = full["metadata"]["namespace"].as_str().unwrap_or_default();
    let is_label = namespace.len() <= 63
        && namespace.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !namespace.starts_with('-')
        && !namespace.ends_with('-');
    if !is_label {
        let message =
            "must be at most 63 lower-case letters, digits and dashes, and start and end with a letter or digit";
        return Err(finding("metadata.namespace", message.to_owned()));
    }
    if let Err(error) = serde_json::from_value::<MaiInstance>(full.clone()) {
        return Err(finding("metadata", format!("cannot be read: {error}; labels and annotations hold text only")));
    }
    Ok(full)
}

/// A document without what is not its author's to say: status, and what a cluster adds to metadata
/// when it is exported.
fn kept(mut full: Value) -> Value {
    let mut metadata = full["metadata"].take();
    let mut next = Map::new();
    for key in ["name", "namespace", "labels", "annotations"] {
        if let Some(value) = metadata.get_mut(key).map(Value::take).filter(|value| !value.is_null()) {
            next.insert(key.to_owned(), value);
        }
    }
    if let Some(Value::Object(annotations)) = next.get_mut("annotations") {
        annotations.retain(|key, _| !DOCUMENT_MARKS.contains(&key.as_str()));
    }
    json!({"apiVersion": full["apiVersion"].take(), "kind": full["kind"].take(), "metadata": next, "spec": full["spec"].take()})
}

/// The object of a known instance.
pub(super) fn object(known: &KnownDocument) -> Result<MaiInstance, serde_json::Error> {
    let mut object: MaiInstance = serde_json::from_value(known.document.clone())?;
    let metadata = &mut object.metadata;
    metadata.namespace = Some(known.namespace.clone());
    metadata.name = Some(known.name.clone());
    metadata.uid = Some(known.uid.clone());
    metadata.generation = Some(known.generation);
    metadata.resource_version = Some(known.resource_version.to_string());
    metadata.creation_timestamp = Some(Time(known.created_at));
    metadata.deletion_timestamp = known.deleted_at.map(Time);
    metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.extend(known.file.iter().map(|file| (DOCUMENT_FILE.to_owned(), file.clone())));
    annotations.extend(known.problem.iter().map(|problem| (DOCUMENT_PROBLEM.to_owned(), problem.clone())));
    if known.refused {
        annotations.insert(DOCUMENT_REFUSED.to_owned(), KEPT.to_owned());
    }
    Ok(object)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_added_to_an_exported_document_is_dropped() {
        let exported = json!({
            "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance",
            "metadata": {"name": "a", "namespace": "default", "uid": "x", "resourceVersion": "7", "managedFields": [],
                "annotations": {"mine": "1", "mai.dev/document-problem": "forged"}},
            "spec": {"displayName": "A"}, "status": {"restarts": 3},
        });
        let full = accept(&exported, None, None).unwrap();
        assert_eq!(full["metadata"], json!({"name": "a", "namespace": "default", "annotations": {"mine": "1"}}));
        assert!(full.get("status").is_none());
    }

    #[test]
    fn metadata_is_checked_too() {
        for (metadata, path) in [
            (json!({"name": "a", "namespace": "../x"}), "metadata.namespace"),
            (json!({"name": "a", "namespace": "a", "labels": {"x": 1}}), "metadata"),
        ] {
            let document = json!({"apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": metadata, "spec": {"displayName": "A"}});
            assert_eq!(accept(&document, None, None).unwrap_err()[0].path, path);
        }
    }
}
