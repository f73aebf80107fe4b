//! The calls about keys.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::decide::KeyStep;
use crate::api::Reason;
use crate::core::{InstanceId, KeyPlace, KeyValue, hash_texts};
use crate::openrouter::{ErrorKind, KeySettings, ManagedKey, Management, Pool, UpstreamError};

/// First word of the name of each key.
const NAME: &str = "mai";
/// Time for which a list is used for other instances.
const LIST_AGE: Duration = Duration::from_secs(10);
/// Calls at once, of all instances.
const CALLS: usize = 4;

/// A list of an account, and when it was made. It is locked while it is made.
type List = Arc<tokio::sync::Mutex<Option<(Instant, Arc<[ManagedKey]>)>>>;

/// Makes the calls about the keys of all instances, a few at a time.
pub struct KeyHand {
    pool: Pool,
    calls: Semaphore,
    /// By account.
    lists: Mutex<HashMap<String, List>>,
}

/// Keys of one instance that the upstream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenKeys {
    /// The account.
    pub place: KeyPlace,
    /// Time of the list.
    pub at: Timestamp,
    /// The keys.
    pub keys: Vec<SeenKey>,
}

/// A key of one instance that the upstream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenKey {
    /// Hash by which the upstream names it.
    pub hash: String,
    /// Its settings; none if it has others than mai gives.
    pub settings: Option<KeySettings>,
}

/// Outcome of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyOutcome {
    /// The keys of the instance.
    Listed(Vec<SeenKey>),
    /// A new key.
    Minted {
        /// Hash by which the upstream names it.
        hash: String,
        /// Its value.
        value: KeyValue,
    },
    /// The key is as it should be, or it is not there.
    Done,
}

/// A step that could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFailure {
    /// Reason of the condition that shows it.
    pub reason: Reason,
    /// Cause and remedy, in the words of the upstream.
    pub message: String,
    /// Time that the upstream asks to wait.
    pub retry_after: Option<Duration>,
}

impl Default for KeyHand {
    fn default() -> Self {
        Self { pool: Pool::new(), calls: Semaphore::new(CALLS), lists: Mutex::default() }
    }
}

impl KeyHand {
    /// Takes a step for an instance with the management key of its account.
    pub async fn perform(
        &self,
        id: &InstanceId,
        step: &KeyStep,
        management_key: &SecretString,
    ) -> Result<KeyOutcome, KeyFailure> {
        let Some(place) = step.place() else { return Ok(KeyOutcome::Done) };
        // It is never closed.
        let _permit = self.calls.acquire().await.ok();
        let account = Management::new(&self.pool, &place.base_url, management_key)?;
        let list = self.list(place, management_key);
        if !matches!(step, KeyStep::List(_)) {
            // What is about to change is listed anew, also where the answer is lost.
            list.lock().await.take();
        }
        match step {
            KeyStep::List(_) => {
                let keys = listed(&account, &list).await?;
                let own = keys.iter().filter(|key| key.name.as_deref().is_some_and(|name| is_name_of(name, id)));
                let seen = |key: &ManagedKey| SeenKey { hash: key.hash.clone(), settings: key.settings() };
                Ok(KeyOutcome::Listed(own.map(seen).collect()))
            }
            KeyStep::Mint(_, limit_usd) => {
                let made = account.create_key(&name(id), *limit_usd).await?;
                Ok(KeyOutcome::Minted { hash: made.hash, value: KeyValue::new(made.value) })
            }
            KeyStep::Change(_, hash, settings) => account.change_key(hash, *settings).await.map(done).map_err(into),
            KeyStep::Disable(_, hash) => account.disable_key(hash).await.map(done).map_err(into),
            KeyStep::Delete(_, hash) => account.delete_key(hash).await.map(done).map_err(into),
            KeyStep::Wait(_) | KeyStep::Record(_) => Ok(KeyOutcome::Done),
        }
    }

    fn list(&self, place: &KeyPlace, management_key: &SecretString) -> List {
        let account = hash_texts([place.base_url.as_str(), management_key.expose_secret()]);
        Arc::clone(self.lists.lock().entry(account).or_default())
    }
}

async fn listed(account: &Management, list: &List) -> Result<Arc<[ManagedKey]>, KeyFailure> {
    let mut list = list.lock().await;
    if let Some((_, keys)) = list.as_ref().filter(|(at, _)| at.elapsed() < LIST_AGE) {
        return Ok(Arc::clone(keys));
    }
    let at = Instant::now();
    let keys: Arc<[ManagedKey]> = account.keys().await?.into();
    *list = Some((at, Arc::clone(&keys)));
    Ok(keys)
}

fn done(_: bool) -> KeyOutcome {
    KeyOutcome::Done
}

fn into(error: UpstreamError) -> KeyFailure {
    error.into()
}

/// Returns the name of the keys of an instance. Its uid tells them from those of others.
pub(super) fn name(id: &InstanceId) -> String {
    format!("{NAME} {}/{} {}", id.namespace, id.name, id.uid)
}

/// Returns whether a key is one of an instance, whatever the instance was called when it was made.
pub(super) fn is_name_of(name: &str, id: &InstanceId) -> bool {
    let mut words = name.split(' ');
    words.next() == Some(NAME) && words.next_back() == Some(&id.uid) && !id.uid.is_empty()
}

impl From<UpstreamError> for KeyFailure {
    fn from(error: UpstreamError) -> Self {
        let (reason, remedy, retry_after) = match &error {
            UpstreamError::Refused { kind, retry_after, status, .. } => match (kind, status.as_u16()) {
                (ErrorKind::KeyRejected, _) | (_, 401) => {
                    (Reason::ManagementKeyRejected, "make another management key at the upstream", None)
                }
                (_, 403) => (Reason::ManagementKeyForbidden, "give the management key the rights for keys", None),
                (ErrorKind::RateLimited | ErrorKind::FreeLimit, _) | (_, 429) => {
                    (Reason::UpstreamBusy, "it is tried again", *retry_after)
                }
                (ErrorKind::Unavailable, _) | (_, 500..) => {
                    (Reason::UpstreamUnreachable, "it is tried again", *retry_after)
                }
                _ => (Reason::UpstreamRefused, "it is tried again", *retry_after),
            },
            UpstreamError::InvalidKey => (Reason::ManagementKeyRejected, "correct the value of the Secret", None),
            UpstreamError::InvalidUrl { .. } | UpstreamError::InvalidResponse { .. } => {
                (Reason::UpstreamRefused, "does openRouter.baseUrl name OpenRouter?", None)
            }
            UpstreamError::Unreachable { .. }
            | UpstreamError::AddressRefused { .. }
            | UpstreamError::ConnectionLost { .. }
            | UpstreamError::ListTooLong { .. } => (Reason::UpstreamUnreachable, "it is tried again", None),
        };
        Self { reason, message: format!("{error}; {remedy}"), retry_after }
    }
}
