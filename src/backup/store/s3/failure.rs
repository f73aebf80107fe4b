//! Failures of a request: of the network, or an answer of the service that is no success. They
//! travel through `object_store` as the source of its errors and are read back from there.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};

use super::super::{Removal, StoreError};

const CORRECT_KEYS: &str = "correct the access key id and the secret access key";
const ALLOW: &str = "allow it in the policy of the key or of the bucket";
const SET_CLOCK: &str = "set the clock of this machine";

/// Failure of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The service did not take the connection, or it broke.
    #[error("{0}")]
    Network(String),
    /// Nothing was sent or received for this long.
    #[error("nothing was sent or received for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    /// The service answered with something else than success.
    #[error("the service answered {status}")]
    Answer {
        /// Status of the answer.
        status: StatusCode,
        /// Code in its body.
        code: Option<String>,
    },
}

/// Operation on a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Store,
    Read,
    List,
    Remove,
}

impl Operation {
    const fn describe(self) -> &'static str {
        match self {
            Self::Store => "to store an object",
            Self::Read => "to read an object",
            Self::List => "to list the objects",
            Self::Remove => "to remove an object",
        }
    }
}

impl Failure {
    /// Returns the failure of an answer with this body.
    pub(super) fn answer(status: StatusCode, body: &[u8]) -> Self {
        Self::Answer { status, code: error_code(&String::from_utf8_lossy(body)) }
    }

    /// Returns the error that `object_store` gets. Its kind decides if the request is repeated.
    pub(super) fn into_http_error(self, kind: HttpErrorKind) -> HttpError {
        HttpError::new(kind, self)
    }

    /// Returns the failure with the kind by which `object_store` repeats a request that may succeed
    /// later.
    pub(super) fn classified(self) -> HttpError {
        let kind = match &self {
            Self::Network(_) => HttpErrorKind::Interrupted,
            Self::Stalled(_) => HttpErrorKind::Timeout,
            Self::Answer { status, code } if is_temporary(*status, code.as_deref()) => HttpErrorKind::Request,
            Self::Answer { .. } => HttpErrorKind::Decode,
        };
        self.into_http_error(kind)
    }

    /// Returns the failure in the sources of an error.
    pub(super) fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut current = Some(error);
        while let Some(error) = current {
            if let Some(failure) = error.downcast_ref() {
                return Some(failure);
            }
            current = error.source();
        }
        None
    }
}

/// Returns the code in the body of an answer. Nothing else of a body is used: it may repeat the
/// request with its signature.
pub(super) fn error_code(body: &str) -> Option<String> {
    let (_, rest) = body.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_code =
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    is_code.then(|| code.to_owned())
}

fn is_temporary(status: StatusCode, code: Option<&str>) -> bool {
    match status {
        StatusCode::NOT_IMPLEMENTED | StatusCode::INSUFFICIENT_STORAGE => false,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => true,
        _ => status.is_server_error() || matches!(code, Some("InternalError" | "SlowDown" | "RequestTimeout")),
    }
}

/// Returns the error of a failed operation on `object` of `place`.
pub(super) fn classify(error: &(dyn Error + 'static), operation: Operation, object: &str, place: &str) -> StoreError {
    let place = place.to_owned();
    let (status, code) = match Failure::find(error) {
        Some(Failure::Answer { status, code }) => (*status, code.clone()),
        Some(other) => return StoreError::Unreachable { place, cause: other.to_string() },
        None => return StoreError::InvalidAnswer { place, cause: innermost(error) },
    };
    let action = operation.describe();
    let refused = |remedy, code| StoreError::Refused { place: place.clone(), action, code, remedy };
    match (status, code.as_deref()) {
        (_, Some("NoSuchBucket")) => {
            StoreError::Missing { place, remedy: "create it, or correct the name of the bucket or the endpoint" }
        }
        (StatusCode::NOT_FOUND, None | Some("NoSuchKey" | "NotFound")) if operation != Operation::Store => {
            StoreError::NotFound { object: object.to_owned(), place }
        }
        (StatusCode::INSUFFICIENT_STORAGE, _) => StoreError::Full { place, code },
        (_, Some(text)) if is_full(text) => StoreError::Full { place, code },
        (_, Some(text)) if is_lock(text) => StoreError::Locked { object: object.to_owned(), place, code },
        (_, Some("RequestTimeTooSkewed")) => refused(SET_CLOCK, code),
        (_, Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken")) => {
            refused(CORRECT_KEYS, code)
        }
        (StatusCode::UNAUTHORIZED, _) => refused(CORRECT_KEYS, code),
        (StatusCode::FORBIDDEN, _) => refused(ALLOW, code),
        (_, Some("AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")) => wrong_region(place),
        _ if status.is_redirection() => wrong_region(place),
        _ if is_temporary(status, code.as_deref()) => StoreError::Unavailable { place, status: status.as_u16(), code },
        _ => StoreError::Rejected { place, action, status: status.as_u16(), code },
    }
}

/// Returns the result of the removal of an object that failed.
pub(super) fn classify_removal(
    error: &(dyn Error + 'static),
    object: &str,
    place: &str,
) -> Result<Removal, StoreError> {
    match classify(error, Operation::Remove, object, place) {
        StoreError::NotFound { .. } => Ok(Removal::Removed),
        StoreError::Locked { .. } => Ok(Removal::KeptByStore),
        // The only request without content or parameters: MinIO answers so for a protected object.
        StoreError::Rejected { code, .. } if code.as_deref() == Some("InvalidRequest") => Ok(Removal::KeptByStore),
        StoreError::Rejected { status: 405 | 409, .. } => Ok(Removal::KeptByStore),
        StoreError::Refused { remedy: ALLOW, .. } => Ok(Removal::KeptByStore),
        other => Err(other),
    }
}

/// AWS has no quota; these are of Ceph, MinIO, and services built on them.
fn is_full(code: &str) -> bool {
    matches!(code, "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" | "InsufficientStorage")
}

fn is_lock(code: &str) -> bool {
    matches!(code, "ObjectLocked" | "RetentionPolicyNotMet" | "ObjectUnderActiveHold" | "AccessDeniedByLock")
}

fn wrong_region(place: String) -> StoreError {
    let problem = "it is in another region or at another endpoint; correct region and endpoint".to_owned();
    StoreError::Invalid { place, problem }
}

/// Returns the words of the innermost error, which name no URL.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn failed(status: u16, code: &str, operation: Operation) -> StoreError {
        let body = format!("<Error><Code>{code}</Code><StringToSign>OVERHEARD</StringToSign></Error>");
        let failure = Failure::answer(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let error = object_store::Error::Generic { store: "S3", source: Box::new(failure.classified()) };
        classify(&error, operation, "a", "bucket b")
    }

    /// Codes as AWS, Ceph, MinIO and Google answer them.
    #[test]
    fn answers_are_worded_by_cause() {
        use Operation::{List, Read, Store};
        for (status, code, operation, text) in [
            (
                403,
                "AccessDenied",
                Store,
                "bucket b refused to store an object (AccessDenied); allow it in the policy of",
            ),
            (403, "InvalidAccessKeyId", List, "bucket b refused to list the objects (InvalidAccessKeyId); correct the"),
            (
                403,
                "RequestTimeTooSkewed",
                Read,
                "bucket b refused to read an object (RequestTimeTooSkewed); set the clock",
            ),
            (401, "", List, "bucket b refused to list the objects; correct the access key id"),
            (404, "NoSuchBucket", Store, "bucket b does not exist; create it"),
            (404, "NoSuchKey", Read, "a is not in bucket b"),
            (404, "", Read, "a is not in bucket b"),
            (404, "NoSuchUpload", Store, "bucket b did not accept to store an object: it answered 404 (NoSuchUpload)"),
            (403, "QuotaExceeded", Store, "bucket b is full (QuotaExceeded); free space there"),
            (507, "XMinioStorageFull", Store, "bucket b is full (XMinioStorageFull); free space there"),
            (403, "RetentionPolicyNotMet", Store, "bucket b keeps a from being replaced (RetentionPolicyNotMet)"),
            (301, "PermanentRedirect", List, "bucket b cannot be used: it is in another region or at another endpoint"),
            (400, "AuthorizationHeaderMalformed", List, "bucket b cannot be used: it is in another region"),
            (503, "SlowDown", Store, "bucket b is not available: it answered 503 (SlowDown)"),
            (400, "not a code", Store, "bucket b did not accept to store an object: it answered 400"),
        ] {
            let error = failed(status, code, operation).to_string();
            assert!(
                error.starts_with(text) && !error.contains("OVERHEARD") && !error.contains("not a code"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_temporary_failures_are_repeated() {
        let kind = |status: u16, code| {
            let body = format!("<Error><Code>{code}</Code></Error>");
            Failure::answer(StatusCode::from_u16(status).unwrap(), body.as_bytes()).classified().kind()
        };
        for (status, code) in
            [(500, ""), (503, "SlowDown"), (429, ""), (408, ""), (200, "InternalError"), (400, "RequestTimeout")]
        {
            assert_eq!(kind(status, code), HttpErrorKind::Request, "{status} {code}");
        }
        for (status, code) in
            [(403, "AccessDenied"), (404, "NoSuchKey"), (400, ""), (501, ""), (507, ""), (200, "InvalidPart")]
        {
            assert_eq!(kind(status, code), HttpErrorKind::Decode, "{status} {code}");
        }
    }
}
