//! The state database as the loop's record.

use jiff::Timestamp;
use secrecy::SecretString;

use super::{State, StateError};
use crate::api::{MaiInstance, MaiInstanceStatus};
use crate::core::{EventKind, InstanceId, KeyRecord, Memory, Record, RecordError, RecordSnapshot};

/// Purpose of the generated secret that signs sessions.
pub(super) const SESSION_KEY: &str = "session-key";

impl Record for State {
    async fn load(&self, _: &MaiInstance, id: &InstanceId, create_key: bool) -> Result<RecordSnapshot, RecordError> {
        let session_key = if create_key {
            self.generated_secret(&id.uid, SESSION_KEY).await?
        } else {
            // An instance without one has never been started, so there is nothing to compare it
            // with.
            self.known_secret(&id.uid, SESSION_KEY).await?.unwrap_or_else(|| SecretString::from(String::new()))
        };
        Ok(RecordSnapshot {
            status: self.status(&id.uid).await?.unwrap_or_default(),
            memory: self.memory(&id.uid).await?,
            session_key: Ok(session_key),
            keys: Ok(self.keys(&id.uid).await?),
        })
    }

    async fn put_status(&self, id: &InstanceId, status: &MaiInstanceStatus) -> Result<(), RecordError> {
        Ok(Self::put_status(self, &id.uid, status).await?)
    }

    async fn put_memory(&self, id: &InstanceId, memory: &Memory) -> Result<(), RecordError> {
        Ok(Self::put_memory(self, &id.uid, memory).await?)
    }

    async fn put_keys(&self, id: &InstanceId, keys: &KeyRecord) -> Result<(), RecordError> {
        Ok(Self::put_keys(self, &id.uid, keys).await?)
    }

    async fn put_event(
        &self,
        id: &InstanceId,
        kind: EventKind,
        reason: &str,
        message: &str,
    ) -> Result<(), RecordError> {
        Ok(self.record_event(&id.namespace, &id.name, kind, reason, message, Timestamp::now()).await?)
    }
}

impl From<StateError> for RecordError {
    fn from(error: StateError) -> Self {
        Self(error.to_string())
    }
}
