//! Where the loop keeps what has to outlive it: a state database, or the objects of a cluster.

use std::future::Future;

use secrecy::SecretString;

use super::{EventKind, InstanceId, KeyRecord, Memory};
use crate::api::{MaiInstance, MaiInstanceStatus};

/// Storage of statuses, memories, events and generated secrets.
pub trait Record: Send + Sync + 'static {
    /// Returns what is stored of an instance. With `create_key` a missing session key is generated.
    fn load(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        create_key: bool,
    ) -> impl Future<Output = Result<RecordSnapshot, RecordError>> + Send;

    /// Stores a status that differs from the stored one.
    fn put_status(
        &self,
        id: &InstanceId,
        status: &MaiInstanceStatus,
    ) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Stores a memory that differs from the stored one.
    fn put_memory(&self, id: &InstanceId, memory: &Memory) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Stores the keys that were made for an instance; removes what is stored if there are none.
    fn put_keys(&self, id: &InstanceId, keys: &KeyRecord) -> impl Future<Output = Result<(), RecordError>> + Send;

    /// Records an event of an instance.
    fn put_event(
        &self,
        id: &InstanceId,
        kind: EventKind,
        reason: &str,
        message: &str,
    ) -> impl Future<Output = Result<(), RecordError>> + Send;
}

/// Stored state of one instance.
#[derive(Clone, Debug)]
pub struct RecordSnapshot {
    /// Status shown to people.
    pub status: MaiInstanceStatus,
    /// Memory of the loop.
    pub memory: Memory,
    /// Key generated for its sessions, or why there is none.
    pub session_key: Result<SecretString, String>,
    /// Keys that were made for it at its upstream, or why they are not known.
    pub keys: Result<KeyRecord, String>,
}

/// Failure to load or store a record, as a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RecordError(pub String);
