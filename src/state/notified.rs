//! Record of what webhooks were told.

use super::{State, StateError};
use crate::core::{NotificationRecord, Notified, RecordError};

impl NotificationRecord for State {
    async fn load_notified(&self) -> Result<Notified, RecordError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT notified FROM notified")
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(|source| self.failed(source))?;
        let notified = row.map(|(json,)| serde_json::from_str(&json)).transpose();
        Ok(notified.map_err(|source| self.unreadable("what webhooks were told", source))?.unwrap_or_default())
    }

    async fn put_notified(&self, notified: &Notified) -> Result<(), RecordError> {
        let unreadable = |source| self.unreadable("what was to be written", source);
        let json = serde_json::to_string(notified).map_err(unreadable)?;
        let put = sqlx::query(
            "INSERT INTO notified (id, notified) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET notified = excluded.notified",
        );
        let written = put.bind(json).execute(&self.inner.writer).await;
        written.map(drop).map_err(|source| StateError::into(self.failed(source)))
    }
}
