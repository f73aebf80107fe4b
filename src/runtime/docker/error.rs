//! Errors of the engine, by what the caller does next.
//!
//! Engines answer many failures with the same status, so their messages are part of the decision.
//! No other file reads them.

use bollard::errors::Error;
use mai_contract::causes::with_causes;

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
    /// A directory to mount does not exist on the engine's machine.
    DirectoryMissing,
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
        Some(_) if has(" is paused") || has("state paused") => EngineError::Paused,
        Some(_) if has("already exists in network") => EngineError::AlreadyConnected,
        Some(_) if has("bind source path does not exist") || has("statfs") && has("no such file") => {
            EngineError::DirectoryMissing
        }
        Some(_) if has("port is already allocated") || has("address already in use") => EngineError::PortTaken,
        Some(_) if has("task") && has("already exists") || has("id already in use") => EngineError::StaleTask,
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
        // Only the sources of a connection error name its cause.
        other => with_causes(other),
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
        action: "search for its container",
        instance: id.to_string(),
        message: "no container carries its labels; `mai compose` makes it".to_owned(),
        source: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Engine, status and message of answers. Those of Docker 20.10 were recorded with 20.10.24;
    /// the others have the words by which earlier versions of this program recognised them.
    const ANSWERS: [(&str, u16, &str, EngineError); 35] = [
        ("Docker 20.10", 404, "No such container: mai-abc", EngineError::NotFound),
        ("Docker 20.10", 404, "No such container: mai-network", EngineError::NotFound),
        ("Docker 20.10", 404, "no such image: no:1: No such image: no:1", EngineError::NotFound),
        ("Docker 20.10", 404, "get no: no such volume", EngineError::NotFound),
        ("Docker 20.10", 404, "network mai not found", EngineError::NetworkNotFound),
        ("Docker 20.10", 404, "network 1718862be1aa not found", EngineError::NetworkNotFound),
        ("Docker 20.10", 404, "page not found", EngineError::UnknownCall),
        (
            "Docker 20.10",
            409,
            "Conflict. The container name \"/aa\" is already in use by container \"194d34dd698e\". You have to remove (or rename) that container to be able to reuse that name.",
            EngineError::Conflict,
        ),
        (
            "Docker 20.10",
            409,
            "Error when allocating new name: Conflict. The container name \"/aa\" is already in use by container \"194d34dd698e\".",
            EngineError::Conflict,
        ),
        ("Docker 20.10", 409, "network with name n1 already exists", EngineError::Conflict),
        ("Docker 20.10", 409, "removal of container zz is already in progress", EngineError::RemovalInProgress),
        (
            "Docker 20.10",
            409,
            "You cannot remove a running container edc4946aea85. Stop the container before attempting removal or force remove",
            EngineError::Conflict,
        ),
        (
            "Docker 20.10",
            409,
            "Cannot update container ab998f99e2c4: Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
            EngineError::Conflict,
        ),
        (
            "Docker 20.10",
            400,
            "invalid mount config for type \"bind\": bind source path does not exist: /srv/none",
            EngineError::DirectoryMissing,
        ),
        ("Podman", 500, "statfs /srv/none: no such file or directory", EngineError::DirectoryMissing),
        ("Docker 20.10", 400, "Minimum memory limit allowed is 6MB", EngineError::Refused),
        ("Docker 20.10", 403, "endpoint with name pp already exists in network n1", EngineError::AlreadyConnected),
        (
            "Docker 20.10",
            500,
            "driver failed programming external connectivity on endpoint qq (c7e6c77b9f45): Bind for 127.0.0.1:28199 failed: port is already allocated",
            EngineError::PortTaken,
        ),
        (
            "Docker 20.10",
            500,
            "driver failed programming external connectivity on endpoint rr (40dc1e79e371): Error starting userland proxy: listen tcp4 127.0.0.1:28198: bind: address already in use",
            EngineError::PortTaken,
        ),
        ("Docker 20.10", 500, "Container edc4946aea85 is not paused", EngineError::Unavailable),
        ("Docker 20.10", 500, "container 194d34dd698e is not connected to network n1", EngineError::Unavailable),
        ("Docker, after a kill", 500, "task 05d961211b72: already exists: unknown", EngineError::StaleTask),
        ("Docker 20.10, after a kill", 409, "id already in use", EngineError::StaleTask),
        (
            "Docker 20.10",
            409,
            "Conflict. The container name \"/mai-paused-demo\" is already in use",
            EngineError::Conflict,
        ),
        (
            "Docker 25",
            500,
            "failed to create task for container: task 05d961211b72 already exists: unknown",
            EngineError::StaleTask,
        ),
        ("Docker 25", 404, "No such network: mai", EngineError::NetworkNotFound),
        (
            "Docker 25",
            409,
            "Container edc4946aea85 is paused. Unpause the container before stopping",
            EngineError::Paused,
        ),
        ("Podman", 404, "no container with name or ID \"mai-abc\" found: no such container", EngineError::NotFound),
        ("Podman", 404, "no:1: image not known", EngineError::NotFound),
        ("Podman", 404, "unable to find network with name or ID mai: network not found", EngineError::NetworkNotFound),
        ("Podman", 404, "Not Found", EngineError::UnknownCall),
        ("Podman", 500, "container 9b: can only stop created or running containers: state paused", EngineError::Paused),
        ("Podman", 500, "rootlessport listen tcp 127.0.0.1:8001: bind: address already in use", EngineError::PortTaken),
        ("any", 500, "context deadline exceeded", EngineError::Unavailable),
        ("any", 401, "unauthorized", EngineError::Refused),
    ];

    #[test]
    fn answers_of_engines_are_recognised() {
        for (engine, status_code, message, expected) in ANSWERS {
            let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
            assert_eq!(classify(&error), expected, "{engine}: {message}");
        }
    }

    #[test]
    fn call_without_answer_may_succeed_later() {
        assert_eq!(classify(&Error::RequestTimeoutError), EngineError::Unavailable);
    }
}
