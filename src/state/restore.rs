//! Instances of another state database, as they were there.

use secrecy::{ExposeSecret, SecretString};

use super::document::put;
use super::record::SESSION_KEY;
use super::{KnownDocument, State, StateError};
use crate::api::MaiInstanceStatus;

/// An instance in a state database.
#[derive(Clone, Debug)]
pub struct KnownInstance {
    /// Its last good document, its uid and its generation.
    pub known: KnownDocument,
    /// Its status.
    pub status: MaiInstanceStatus,
    /// The key generated for its sessions, if there is one.
    pub session_key: Option<SecretString>,
}

impl State {
    /// Returns all instances that are not removed.
    pub async fn instances(&self) -> Result<Vec<KnownInstance>, StateError> {
        let mut instances = Vec::new();
        for known in self.documents().await?.into_iter().filter(|known| known.deleted_at.is_none()) {
            let status = self.status(&known.uid).await?.unwrap_or_default();
            let session_key = self.known_secret(&known.uid, SESSION_KEY).await?;
            instances.push(KnownInstance { known, status, session_key });
        }
        Ok(instances)
    }

    /// Returns an instance, also one that was removed.
    pub async fn known_instance(&self, namespace: &str, name: &str) -> Result<Option<KnownInstance>, StateError> {
        let is_it = |known: &KnownDocument| known.namespace == namespace && known.name == name;
        let Some(known) = self.documents().await?.into_iter().find(is_it) else { return Ok(None) };
        let status = self.status(&known.uid).await?.unwrap_or_default();
        let session_key = self.known_secret(&known.uid, SESSION_KEY).await?;
        Ok(Some(KnownInstance { known, status, session_key }))
    }

    /// Forgets an instance that another state database has taken over.
    pub async fn forget(&self, namespace: &str, name: &str) -> Result<(), StateError> {
        sqlx::query("DELETE FROM documents WHERE namespace = ? AND name = ?")
            .bind(namespace)
            .bind(name)
            .execute(&self.inner.writer)
            .await
            .map(drop)
            .map_err(|source| self.failed(source))
    }

    /// Stores an instance in place of what is known of it.
    pub async fn restore(&self, instance: &KnownInstance) -> Result<(), StateError> {
        let KnownInstance { known, status, session_key } = instance;
        let status = serde_json::to_string(status).map_err(|source| self.unreadable("a status", source))?;
        let write = async {
            let mut transaction = self.inner.writer.begin().await?;
            put(&mut transaction, known).await?;
            sqlx::query("INSERT OR REPLACE INTO statuses (uid, status) VALUES (?, ?)")
                .bind(&known.uid)
                .bind(status)
                .execute(&mut *transaction)
                .await?;
            if let Some(key) = session_key {
                sqlx::query("INSERT OR REPLACE INTO generated_secrets (uid, purpose, value) VALUES (?, ?, ?)")
                    .bind(&known.uid)
                    .bind(SESSION_KEY)
                    .bind(key.expose_secret())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        write.await.map_err(|source| self.failed(source))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn instances_survive_a_move_to_another_database() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let state = State::open(from.path()).await.unwrap();
        let document = |name: &str| json!({"metadata": {"name": name}, "spec": {"displayName": "A"}});
        let kept = state.accept("team", "a", &document("a"), Some("a.yaml")).await.unwrap();
        state.generated_secret(&kept.uid, SESSION_KEY).await.unwrap();
        let status = MaiInstanceStatus { restarts: 3, ..MaiInstanceStatus::default() };
        state.put_status(&kept.uid, &status).await.unwrap();
        state.accept("team", "without-key", &document("without-key"), None).await.unwrap();
        state.accept("team", "removed", &document("removed"), None).await.unwrap();
        state.mark_deleted("team", "removed").await.unwrap();

        assert!(state.known_instance("team", "removed").await.unwrap().is_some());
        let instances = state.instances().await.unwrap();
        let names: Vec<_> = instances.iter().map(|instance| instance.known.name.as_str()).collect();
        assert_eq!(names, ["a", "without-key"]);
        let other = State::open(to.path()).await.unwrap();
        for instance in instances.iter().chain(&instances) {
            other.restore(instance).await.unwrap();
        }
        let restored = other.instances().await.unwrap();
        for (before, after) in instances.iter().zip(&restored) {
            assert_eq!((&before.known, &before.status), (&after.known, &after.status));
            let key = |of: &KnownInstance| of.session_key.as_ref().map(|key| key.expose_secret().to_owned());
            assert_eq!(key(before), key(after));
        }
        assert!(restored[0].session_key.is_some() && restored[1].session_key.is_none());
        state.forget("team", "a").await.unwrap();
        assert!(state.known_instance("team", "a").await.unwrap().is_none());
    }
}
