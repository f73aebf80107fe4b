//! Status and memory of an instance, which survive a restart.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{State, StateError};
use crate::api::MaiInstanceStatus;

impl State {
    /// Returns the status of an instance, as last written.
    pub async fn status(&self, uid: &str) -> Result<Option<MaiInstanceStatus>, StateError> {
        self.read("SELECT status FROM statuses WHERE uid = ?", uid, "a status").await
    }

    /// Stores the status of an instance; writes nothing if it is the same.
    pub async fn put_status(&self, uid: &str, status: &MaiInstanceStatus) -> Result<(), StateError> {
        self.write(
            "INSERT INTO statuses (uid, status) VALUES (?, ?)
             ON CONFLICT (uid) DO UPDATE SET status = excluded.status WHERE status != excluded.status",
            uid,
            status,
        )
        .await
    }

    /// Returns the memory of an instance, or the default if there is none.
    pub async fn memory<T: DeserializeOwned + Default>(&self, uid: &str) -> Result<T, StateError> {
        Ok(self.read("SELECT memory FROM memories WHERE uid = ?", uid, "a memory").await?.unwrap_or_default())
    }

    /// Stores the memory of an instance; writes nothing if it is the same.
    pub async fn put_memory<T: Serialize + Sync>(&self, uid: &str, memory: &T) -> Result<(), StateError> {
        self.write(
            "INSERT INTO memories (uid, memory) VALUES (?, ?)
             ON CONFLICT (uid) DO UPDATE SET memory = excluded.memory WHERE memory != excluded.memory",
            uid,
            memory,
        )
        .await
    }

    async fn read<T: DeserializeOwned>(
        &self,
        query: &'static str,
        uid: &str,
        what: &'static str,
    ) -> Result<Option<T>, StateError> {
        let row: Option<(String,)> = sqlx::query_as(query)
            .bind(uid)
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(|source| self.failed(source))?;
        row.map(|(json,)| serde_json::from_str(&json).map_err(|source| self.unreadable(what, source))).transpose()
    }

    async fn write<T: Serialize>(&self, query: &'static str, uid: &str, value: &T) -> Result<(), StateError> {
        let json = serde_json::to_string(value).map_err(|source| self.unreadable("what was to be written", source))?;
        sqlx::query(query)
            .bind(uid)
            .bind(json)
            .execute(&self.inner.writer)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(())
    }
}
