//! Validation of objects that the API server accepted under older rules.

use std::hash::{DefaultHasher, Hash, Hasher};

use kube::ResourceExt;
use kube::core::error_boundary::InvalidObject;
use serde_json::json;

use crate::api::{self, BLOCKED, ConditionKind, DOCUMENT_PROBLEM, DOCUMENT_REFUSED, MaiInstance, PlatformKind, Reason};
use crate::source::policy::{Author, Claims, Policy, Refusal, Subject};

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
    problem: Option<Problem>,
    /// Hash of the annotations.
    annotations: u64,
}

/// A problem of an object.
#[derive(Clone, PartialEq)]
enum Problem {
    /// It breaks a rule of the schema.
    Invalid(String),
    /// The provider's policy refuses it.
    Refused(String),
}

/// Returns the wrong fields of a spec and the cause of each, if there are any.
pub(crate) fn problem_of(name: &str, spec: &serde_json::Value) -> Option<String> {
    let document = json!({
        "apiVersion": api::API_VERSION,
        "kind": "MaiInstance",
        "metadata": {"name": name},
        "spec": spec,
    });
    let findings = api::check(&document, None, Some(PlatformKind::Kubernetes)).err()?;
    Some(findings.iter().map(|found| format!("{}: {}", found.path, found.message)).collect::<Vec<_>>().join("; "))
}

/// Marks an object that breaks a rule, as one from before that rule may. An unchanged spec is not
/// checked again. The policy does not change while an operator runs.
pub(super) fn validate(instance: &mut MaiInstance, known: Option<&Validated>, policy: &Policy) -> Validated {
    let (uid, generation) = (instance.metadata.uid.clone(), instance.metadata.generation);
    let mut hasher = DefaultHasher::new();
    instance.annotations().hash(&mut hasher);
    let annotations = hasher.finish();
    let problem = match known.filter(|known| known.uid == uid && known.generation == generation) {
        Some(known) => known.problem.clone(),
        None => {
            let refused = || refusal(instance, policy).map(Problem::Refused);
            refused().or_else(|| problem_of(&instance.name_any(), &json!(instance.spec)).map(Problem::Invalid))
        }
    };
    let marks = instance.annotations_mut();
    marks.remove(DOCUMENT_PROBLEM);
    marks.remove(DOCUMENT_REFUSED);
    match &problem {
        Some(Problem::Invalid(problem)) => {
            marks.insert(DOCUMENT_PROBLEM.to_owned(), problem.clone());
        }
        Some(Problem::Refused(problem)) => {
            marks.insert(DOCUMENT_PROBLEM.to_owned(), problem.clone());
            marks.insert(DOCUMENT_REFUSED.to_owned(), BLOCKED.to_owned());
        }
        None => {}
    }
    Validated { uid, generation, problem, annotations }
}

/// Marks an object that an operator refused by its policy, as its status says.
pub(super) fn repeat_refusal(instance: &mut MaiInstance) {
    let Some(status) =
        instance.status.as_ref().filter(|status| status.observed_generation == instance.metadata.generation)
    else {
        return;
    };
    if status.reason(ConditionKind::DocumentValid) != Some(Reason::RefusedByPolicy) {
        return;
    }
    let message = status.condition(ConditionKind::DocumentValid).map(|valid| valid.message.clone());
    let annotations = instance.annotations_mut();
    annotations.insert(DOCUMENT_PROBLEM.to_owned(), message.unwrap_or_default());
    annotations.insert(DOCUMENT_REFUSED.to_owned(), BLOCKED.to_owned());
}

/// Returns what the policy refuses of an object, if it does.
fn refusal(instance: &MaiInstance, policy: &Policy) -> Option<String> {
    let key = (instance.namespace().unwrap_or_default(), instance.name_any());
    let claims = Claims::default();
    let subject = Subject {
        author: Author::Namespace(&key.0),
        key: &key,
        spec: &instance.spec,
        platform: Some(PlatformKind::Kubernetes),
        claims: &claims,
    };
    let refusals = policy.refusals(&subject);
    let sentences = refusals.iter().map(|Refusal { finding, .. }| format!("{}: {}", finding.path, finding.message));
    (!refusals.is_empty()).then(|| sentences.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::{KEPT, MaiInstanceSpec};
    use crate::source::policy::PolicyFile;

    fn instance(more: serde_json::Value) -> MaiInstance {
        let mut spec = json!(MaiInstanceSpec::named("A"));
        spec["storage"]["data"] = more;
        let mut instance = MaiInstance::new("a", serde_json::from_value(spec).unwrap());
        instance.metadata.namespace = Some("team".to_owned());
        instance.annotations_mut().insert(DOCUMENT_REFUSED.to_owned(), KEPT.to_owned());
        instance
    }

    #[test]
    fn object_that_the_policy_refuses_is_blocked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "apiVersion: mai.dev/v1alpha1\nkind: MaiPolicy\nauthors: [{namespace: team, volumes: [archive]}]\n";
        std::fs::write(file.path(), text).unwrap();
        let policy = PolicyFile::new(Some(file.path().to_owned()), None).read().unwrap();
        for (volume, is_refused) in [("archive", false), ("mai-a-data", false), ("mai-b-data", true)] {
            let mut object = instance(json!({"volumeName": volume}));
            validate(&mut object, None, &policy);
            let mark = object.annotations().get(DOCUMENT_REFUSED).map(String::as_str);
            assert_eq!(mark, is_refused.then_some(BLOCKED), "{volume}");
            let refusal = crate::reconcile::refusal(&object);
            assert_eq!(refusal.is_some(), is_refused, "{volume}");
            let expected = "add `mai-b-data` to `authors[0].volumes`";
            assert!(refusal.is_none_or(|refusal| refusal.contains(expected)));
        }
    }
}
