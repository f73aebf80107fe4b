//! Errors of a store.

use std::io;
use std::path::{Path, PathBuf};

use crate::SecretError;

/// Failure of a store, by what there is to do about it. No message holds a key or a signature.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service did not answer, or the connection broke each time. It may work later.
    #[error("{place} could not be reached: {cause}; check its endpoint and the network")]
    Unreachable {
        /// The store.
        place: String,
        /// Cause, as the network reports it.
        cause: String,
    },
    /// The service answered with a temporary failure, also after some retries. It may work later.
    #[error("{place} is not available: it answered {status}{}", in_parentheses(.code))]
    Unavailable {
        /// The store.
        place: String,
        /// Status of the answer.
        status: u16,
        /// The service's code.
        code: Option<String>,
    },
    /// The keys are wrong, or may not do this.
    #[error("{place} refused {action}{}; {remedy}", in_parentheses(.code))]
    Refused {
        /// The store.
        place: String,
        /// The operation: "to store an object".
        action: &'static str,
        /// The service's code.
        code: Option<String>,
        /// The correction.
        remedy: &'static str,
    },
    /// The bucket or directory does not exist.
    #[error("{place} does not exist; {remedy}")]
    Missing {
        /// The store.
        place: String,
        /// The correction.
        remedy: &'static str,
    },
    /// The object does not exist.
    #[error("{object} is not in {place}")]
    NotFound {
        /// The object.
        object: String,
        /// The store.
        place: String,
    },
    /// There is no room.
    #[error("{place} is full{}; free space there or keep fewer backups", in_parentheses(.code))]
    Full {
        /// The store.
        place: String,
        /// The service's code.
        code: Option<String>,
    },
    /// The store protects an object of this name from changes.
    #[error("{place} keeps {object} from being replaced{}", in_parentheses(.code))]
    Locked {
        /// The object.
        object: String,
        /// The store.
        place: String,
        /// The service's code.
        code: Option<String>,
    },
    /// The service reported success and does not have what was stored.
    #[error("{place} reported that it stored {object}, but {}", describe_loss(*.expected, *.found))]
    NotKept {
        /// The object.
        object: String,
        /// The store.
        place: String,
        /// Bytes that were sent.
        expected: u64,
        /// Bytes that it has; None where it has no such object.
        found: Option<u64>,
    },
    /// The service does not accept the request.
    #[error("{place} did not accept {action}: it answered {status}{}", in_parentheses(.code))]
    Rejected {
        /// The store.
        place: String,
        /// The operation: "to store an object".
        action: &'static str,
        /// Status of the answer.
        status: u16,
        /// The service's code.
        code: Option<String>,
    },
    /// The service's answer could not be understood.
    #[error("{place} gave an answer that is not S3: {cause}")]
    InvalidAnswer {
        /// The store.
        place: String,
        /// The parser's words.
        cause: String,
    },
    /// The destination is not declared correctly.
    #[error("{place} cannot be used: {problem}")]
    Invalid {
        /// The store.
        place: String,
        /// The problem and its remedy.
        problem: String,
    },
    /// A secret file could not be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file could not be read or written.
    #[error("{path} could not be {action}: {source}")]
    Io {
        /// The operation: "read", "written".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl StoreError {
    /// Returns a conversion for `map_err` of a file operation.
    pub(super) fn io<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl Fn(E) -> Self + use<E> {
        let path = path.to_owned();
        move |source| {
            let source = source.into();
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    let place = format!("the volume of {}", path.parent().unwrap_or(&path).display());
                    Self::Full { place, code: None }
                }
                _ => Self::Io { action, path: path.clone(), source },
            }
        }
    }
}

fn in_parentheses(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default()
}

fn describe_loss(expected: u64, found: Option<u64>) -> String {
    match found {
        Some(found) => format!("has {found} of {expected} bytes"),
        None => "does not have it".to_owned(),
    }
}
