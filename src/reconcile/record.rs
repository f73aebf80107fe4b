//! What the loop keeps of an instance beyond its own life, wherever that is kept: a state database, or the objects of a cluster.

use std::future::Future;

use secrecy::SecretString;

use super::Memory;
use crate::api::{MaiInstance, MaiInstanceStatus};
use crate::runtime::InstanceId;
use crate::state::EventKind;

/// Where statuses, memories, events and generated secrets are kept.
pub trait Record: Send + Sync + 'static {
    /// What is kept of an instance. With `make` the secret that it lacks is made.
    fn recall(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        make: bool,
    ) -> impl Future<Output = Result<Kept, RecordError>> + Send;

    /// Keeps a status that differs from the kept one.
    fn put_status(
        &self,
        id: &InstanceId,
        status: &MaiInstanceStatus,
    ) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Keeps a memory that differs from the kept one.
    fn put_memory(&self, id: &InstanceId, memory: &Memory) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Records that something happened to an instance.
    fn event(
        &self,
        id: &InstanceId,
        kind: EventKind,
        reason: &str,
        message: &str,
    ) -> impl Future<Output = Result<(), RecordError>> + Send;
}

/// What is kept of one instance.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The status people see.
    pub status: MaiInstanceStatus,
    /// What the loop alone has to know.
    pub memory: Memory,
    /// The key made for its sessions, or why it cannot be had.
    pub session_key: Result<SecretString, String>,
}

/// Why something could not be kept or recalled, as a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RecordError(pub String);
