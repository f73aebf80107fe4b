//! Errors of the engine, by what the caller does next.
//!
//! Engines answer many failures with the same status, so their messages are part of the decision. No
//! other file reads them.

use std::error::Error as _;

use bollard::errors::Error;

use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// Answer of the engine to a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EngineError {
    /// The object does not exist.
    NotFound,
    /// A network of the container does not exist: the container has to join it again.
    NetworkNotFound,
    /// The engine does not have this call.
    UnknownCall,
    /// Another object has the name.
    Conflict,
    /// The container is paused and has to be unpaused first.
    Paused,
    /// Somebody else is removing the container.
    RemovalInProgress,
    /// The container is in the network already.
    AlreadyConnected,
    /// Another program listens on the published port.
    PortTaken,
    /// The engine holds on to an earlier start of the container, which has to be recreated.
    StaleTask,
    /// The engine understood the call and refused it.
    Refused,
    /// The engine did not answer, or failed by itself. The same call may succeed later.
    Unavailable,
}

/// Returns what the engine's answer means for the caller.
pub(super) fn classify(error: &Error) -> EngineError {
    let text = message(error).to_lowercase();
    let has = |part: &str| text.contains(part);
    match status(error) {
        Some(404) if has("no such network") || has("network") && has("not found") && !has("no such container") => {
            EngineError::NetworkNotFound
        }
        Some(404) if has("no such") || has("not known") => EngineError::NotFound,
        Some(404) => EngineError::UnknownCall,
        Some(409) if has("removal of container") && has("already in progress") => EngineError::RemovalInProgress,
        Some(_) if has("is paused") => EngineError::Paused,
        Some(_) if has("already exists in network") => EngineError::AlreadyConnected,
        Some(_) if has("port is already allocated") || has("address already in use") => EngineError::PortTaken,
        Some(_) if has("task") && has("already exists") => EngineError::StaleTask,
        Some(409) => EngineError::Conflict,
        Some(400..500) => EngineError::Refused,
        _ => EngineError::Unavailable,
    }
}

/// Returns the engine's message, or the cause why there is none.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        Error::RequestTimeoutError => "no answer in time".to_owned(),
        other => {
            // Only the sources of a connection error name its cause.
            let mut text = other.to_string();
            let mut source = other.source();
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

/// Returns the HTTP status of the engine's answer, if there was one.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Returns whether the object of a call does not exist.
pub(super) fn is_missing(error: &Error) -> bool {
    status(error) == Some(404)
}

/// Returns `Ok` where the object to remove or to stop does not exist.
pub(super) fn unless_missing(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if is_missing(&error) => Ok(()),
        other => other,
    }
}

/// Returns the function for `map_err` of a call about an instance.
pub(super) fn failed(action: &'static str, id: &InstanceId) -> impl Fn(Error) -> RuntimeError + use<> {
    let instance = id.to_string();
    move |error| runtime_error(action, instance.clone(), error)
}

/// Returns the error of a call about `instance`.
pub(super) fn runtime_error(action: &'static str, instance: String, error: Error) -> RuntimeError {
    let message = message(&error);
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
