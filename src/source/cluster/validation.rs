//! Validation of objects that the API server accepted under older rules.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube::ResourceExt;
use kube::core::error_boundary::InvalidObject;
use serde_json::json;

use crate::api::{self, DOCUMENT_PROBLEM, MaiInstance};

/// An object that does not match the schema of this version.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
    /// The cause.
    pub problem: String,
}

impl From<InvalidObject> for Invalid {
    fn from(InvalidObject { error, metadata }: InvalidObject) -> Self {
        Self {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation,
            problem: error,
        }
    }
}

/// Result of the validation of an object.
#[derive(Clone, PartialEq)]
pub(super) struct Validated {
    pub(super) uid: Option<String>,
    generation: Option<i64>,
    problem: Option<String>,
    /// Hash of the annotations.
    annotations: u64,
}

/// Returns the wrong fields of a spec and the cause of each, if there are any.
pub(crate) fn problem_of(name: &str, spec: &serde_json::Value) -> Option<String> {
    let document = json!({
        "apiVersion": api::API_VERSION,
        "kind": "MaiInstance",
        "metadata": {"name": name},
        "spec": spec,
    });
    let findings = api::check_stored(&document).err()?;
    Some(findings.iter().map(|found| format!("{}: {}", found.path, found.message)).collect::<Vec<_>>().join("; "))
}

/// Marks an object that breaks a rule, as one from before that rule may. An unchanged spec is not
/// checked again.
pub(super) fn validate(instance: &mut MaiInstance, known: Option<&Validated>) -> Validated {
    let (uid, generation) = (instance.metadata.uid.clone(), instance.metadata.generation);
    let mut hasher = DefaultHasher::new();
    instance.annotations().hash(&mut hasher);
    let annotations = hasher.finish();
    let problem = match known.filter(|known| known.uid == uid && known.generation == generation) {
        Some(known) => known.problem.clone(),
        None => problem_of(&instance.name_any(), &json!(instance.spec)),
    };
    match &problem {
        Some(problem) => instance.annotations_mut().insert(DOCUMENT_PROBLEM.to_owned(), problem.clone()),
        None => instance.annotations_mut().remove(DOCUMENT_PROBLEM),
    };
    Validated { uid, generation, problem, annotations }
}
