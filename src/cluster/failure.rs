//! Classes of failed requests to the API server. Nothing else reads its codes and messages.

use std::collections::BTreeSet;
use std::error::Error;

use kube::core::Status;

/// Reason of a cause that names another field manager.
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// Class of a failed request to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiFailure {
    /// The object does not exist, or its namespace does not.
    NotFound,
    /// The API server does not serve the kind.
    NotServed,
    /// An object of that name exists.
    AlreadyExists,
    /// The object is not the one the request was made for: another version, or another uid.
    Changed,
    /// Fields of an apply belong to other field managers.
    FieldConflict {
        /// Their names.
        managers: BTreeSet<String>,
    },
    /// The object breaks a rule of its kind.
    Invalid,
    /// A permission is missing, or a quota or an admission policy does not allow it.
    Forbidden,
    /// Refused for another reason.
    Refused,
    /// No answer, or a failure of the API server itself: the same request may succeed later.
    Unreachable,
}

impl ApiFailure {
    /// Returns whether the same request stays refused until something else changes.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unreachable | Self::Changed)
    }

    /// Returns whether the object does not exist.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound | Self::NotServed)
    }
}

/// Returns the class of a failed request. `error` is an error of the client, or has one as its
/// source.
pub(crate) fn classify(error: &(dyn Error + 'static)) -> ApiFailure {
    api_status(error).map_or(ApiFailure::Unreachable, classify_status)
}

/// Returns the API server's own message, without the frame that the client puts around it.
pub(crate) fn error_message(error: &(dyn Error + 'static)) -> String {
    match api_status(error) {
        Some(status) if status.message.is_empty() => status.reason.clone(),
        Some(status) => status.message.clone(),
        None => sources(error).last().map(ToString::to_string).unwrap_or_default(),
    }
}

fn classify_status(status: &Status) -> ApiFailure {
    let details = status.details.as_ref();
    match (status.code, status.reason.as_str()) {
        // A missing object is named; a missing kind is not, and is often answered in plain text.
        (404, _) if details.is_some_and(|details| !details.name.is_empty()) => ApiFailure::NotFound,
        (404, _) => ApiFailure::NotServed,
        (409, "AlreadyExists") => ApiFailure::AlreadyExists,
        (409, _) => {
            let causes = details.map(|details| details.causes.as_slice()).unwrap_or_default();
            let conflicts = causes.iter().filter(|cause| cause.reason == FIELD_MANAGER_CONFLICT);
            let managers: BTreeSet<String> =
                conflicts.filter_map(|cause| cause.message.split('"').nth(1)).map(str::to_owned).collect();
            if managers.is_empty() { ApiFailure::Changed } else { ApiFailure::FieldConflict { managers } }
        }
        (422, _) => ApiFailure::Invalid,
        (403, _) => ApiFailure::Forbidden,
        // A token that has expired is renewed by the client.
        (401 | 408 | 429, _) => ApiFailure::Unreachable,
        (400..500, _) => ApiFailure::Refused,
        _ => ApiFailure::Unreachable,
    }
}

/// Returns the answer of the API server that an error carries.
fn api_status<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Status> {
    sources(error).find_map(|error| match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(status.as_ref()),
        _ => error.downcast_ref::<Status>().or_else(|| error.downcast_ref::<Box<Status>>().map(AsRef::as_ref)),
    })
}

/// Returns an error and its sources, the outermost first.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use kube::runtime::watcher;
    use serde_json::{Value, json};

    use super::*;

    fn api(answer: Value) -> kube::Error {
        kube::Error::Api(Box::new(serde_json::from_value(answer).unwrap()))
    }

    fn conflict(managers: &[&str]) -> ApiFailure {
        ApiFailure::FieldConflict { managers: managers.iter().map(|name| (*name).to_owned()).collect() }
    }

    /// Answers of API servers 1.33 to 1.35, and the class of each.
    fn recorded() -> Vec<(Value, ApiFailure)> {
        vec![
            (
                json!({"code": 404, "reason": "NotFound", "message": "deployments.apps \"mai-abc\" not found",
                    "details": {"name": "mai-abc", "group": "apps", "kind": "deployments"}}),
                ApiFailure::NotFound,
            ),
            (
                json!({"code": 404, "reason": "NotFound", "message": "namespaces \"client\" not found",
                    "details": {"name": "client", "kind": "namespaces"}}),
                ApiFailure::NotFound,
            ),
            (
                json!({"code": 404, "reason": "Failed to parse error data", "message": "404 page not found\n"}),
                ApiFailure::NotServed,
            ),
            (
                json!({"code": 404, "reason": "NotFound", "message": "the server could not find the requested resource",
                    "details": {}}),
                ApiFailure::NotServed,
            ),
            (
                json!({"code": 409, "reason": "AlreadyExists", "message": "secrets \"mai-abc-session\" already exists",
                    "details": {"name": "mai-abc-session", "kind": "secrets"}}),
                ApiFailure::AlreadyExists,
            ),
            (
                json!({"code": 409, "reason": "Conflict",
                    "message": "Operation cannot be fulfilled on leases.coordination.k8s.io \"mai-operator\": the object has been modified; please apply your changes to the latest version and try again",
                    "details": {"name": "mai-operator", "group": "coordination.k8s.io", "kind": "leases"}}),
                ApiFailure::Changed,
            ),
            (
                json!({"code": 409, "reason": "Conflict",
                    "message": "Precondition failed: UID in precondition: 1, UID in object meta: 2", "details": {"name": "mai-abc"}}),
                ApiFailure::Changed,
            ),
            (
                json!({"code": 409, "reason": "Conflict",
                    "message": "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1: .spec.type",
                    "details": {"causes": [{"reason": "FieldManagerConflict",
                        "message": "conflict with \"kubectl-edit\" using v1", "field": ".spec.type"}]}}),
                conflict(&["kubectl-edit"]),
            ),
            (
                json!({"code": 409, "reason": "Conflict",
                    "message": "Apply failed with 2 conflicts: conflicts with \"kubectl-patch\" using apps/v1 and others",
                    "details": {"causes": [
                        {"reason": "FieldManagerConflict", "message": "conflict with \"mai-operator\" using apps/v1", "field": ".spec.replicas"},
                        {"reason": "FieldManagerConflict", "message": "conflict with \"manager\" with subresource \"scale\" using apps/v1", "field": ".spec.replicas"}]}}),
                conflict(&["mai-operator", "manager"]),
            ),
            (
                json!({"code": 422, "reason": "Invalid", "message": "Service \"mai-abc\" is invalid: spec.ports: Required value",
                    "details": {"name": "mai-abc", "kind": "Service",
                        "causes": [{"reason": "FieldValueRequired", "message": "Required value", "field": "spec.ports"}]}}),
                ApiFailure::Invalid,
            ),
            (
                json!({"code": 403, "reason": "Forbidden",
                    "message": "persistentvolumeclaims \"mai-abc-data\" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
                    "details": {"name": "mai-abc-data", "kind": "persistentvolumeclaims"}}),
                ApiFailure::Forbidden,
            ),
            (
                json!({"code": 400, "reason": "BadRequest", "message": "admission webhook \"policy.example.com\" denied the request"}),
                ApiFailure::Refused,
            ),
            (json!({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"}), ApiFailure::Unreachable),
            (json!({"code": 408, "reason": "Timeout", "message": "request timed out"}), ApiFailure::Unreachable),
            (
                json!({"code": 429, "reason": "TooManyRequests", "message": "too many requests"}),
                ApiFailure::Unreachable,
            ),
            (
                json!({"code": 500, "reason": "InternalError",
                    "message": "Internal error occurred: failed calling webhook \"policy.example.com\": failed to call webhook: Post \"https://127.0.0.1:1/?timeout=10s\": dial tcp 127.0.0.1:1: connect: connection refused",
                    "details": {"causes": [{"message": "failed calling webhook"}]}}),
                ApiFailure::Unreachable,
            ),
            (
                json!({"code": 503, "reason": "ServiceUnavailable", "message": "apiserver is shutting down"}),
                ApiFailure::Unreachable,
            ),
            (
                json!({"code": 504, "reason": "Timeout", "message": "Timeout: request did not complete within requested timeout - context deadline exceeded"}),
                ApiFailure::Unreachable,
            ),
        ]
    }

    #[test]
    fn recorded_answers_have_their_class_and_message() {
        for (answer, class) in recorded() {
            let message = answer["message"].as_str().unwrap().to_owned();
            let error = api(answer.clone());
            assert_eq!((classify(&error), error_message(&error)), (class.clone(), message.clone()));
            let listed = watcher::Error::InitialListFailed(error);
            assert_eq!((classify(&listed), error_message(&listed)), (class.clone(), message.clone()));
            let watched = watcher::Error::WatchError(Box::new(serde_json::from_value(answer).unwrap()));
            assert_eq!((classify(&watched), error_message(&watched)), (class, message));
        }
    }

    #[test]
    fn refusals_last_and_other_failures_pass() {
        for (answer, class) in recorded() {
            let code = answer["code"].as_u64().unwrap();
            let passes = class == ApiFailure::Changed || code >= 500 || [401, 408, 429].contains(&code);
            assert_eq!(class.is_refusal(), !passes, "{answer}");
        }
        assert!(!classify(&kube::Error::TlsRequired).is_refusal());
    }
}
