//! The engine's errors in our words: its own message, the instance, and what was tried.

use bollard::errors::Error;

use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// The engine's own words.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        Error::RequestTimeoutError => "no answer in time".to_owned(),
        other => {
            // The cause of a connection that fails is only told by its source.
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// The HTTP status the engine answered with, when it answered.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

pub(super) fn is_missing(error: &Error) -> bool {
    status(error) == Some(404)
}

/// Classifies the engine's answer to a call about an instance, for `map_err`.
pub(super) fn engine(action: &'static str, id: &InstanceId) -> impl Fn(Error) -> RuntimeError + use<> {
    let instance = id.to_string();
    move |error| classify(action, instance.clone(), error)
}

/// Classifies an error of the engine: a call it understood is refused, anything else may succeed later.
pub(super) fn classify(action: &'static str, instance: String, error: Error) -> RuntimeError {
    let message = said(&error);
    match status(&error) {
        Some(400..500) => RuntimeError::Refused { action, instance, message, source: Some(Box::new(error)) },
        _ => RuntimeError::Unreachable { action, instance, message, source: Some(Box::new(error)) },
    }
}

/// Returns the error of an instance that has no container.
pub(super) fn no_container(id: &InstanceId) -> RuntimeError {
    RuntimeError::Refused {
        action: "look for its container",
        instance: id.to_string(),
        message: "no container carries its labels; `mai compose` makes it".to_owned(),
        source: None,
    }
}

/// What is not there any more needed no removal; what has stopped needed no stop.
pub(super) fn unless_missing(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}
