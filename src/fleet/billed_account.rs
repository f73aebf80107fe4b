//! The account of the upstream that an instance is billed to.

use std::fmt;

use jiff::Timestamp;
use secrecy::SecretString;

use super::bill::Bill;
use super::internal_client::{InternalClient, InternalError};
use crate::core::KeyRecord;
use crate::openrouter::{Management, Pool, UpstreamError};

/// An account of the upstream, and the keys in it that the calls of one instance go or went over.
#[derive(Clone)]
pub struct BilledAccount {
    base_url: String,
    management_key: SecretString,
    keys: Vec<String>,
    /// Time at which the oldest of them was made.
    since: Timestamp,
}

/// A comparison that could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum BillError {
    /// The bill could not be read.
    #[error("the activity of its keys could not be read: {0}")]
    Upstream(#[from] UpstreamError),
    /// The ledger could not be read.
    #[error("its ledger could not be read: {0}")]
    Ledger(#[from] InternalError),
}

impl BilledAccount {
    /// Returns the account of the key of an instance, if it has one.
    pub fn new(record: &KeyRecord, management_key: SecretString) -> Option<Self> {
        let base_url = record.current.as_ref()?.place.base_url.clone();
        let made = record.made_at(&base_url);
        let since = made.iter().map(|(_, at)| *at).min()?;
        let keys = made.into_iter().map(|(hash, _)| hash.to_owned()).collect();
        Some(Self { base_url, management_key, keys, since })
    }

    /// Compares the bill of the keys with the ledger of the server. Returns nothing while no day is over.
    pub(super) async fn compare(&self, pool: &Pool, server: &InternalClient) -> Result<Option<Bill>, BillError> {
        let account = Management::new(pool, &self.base_url, &self.management_key)?;
        let mut activity = Vec::new();
        for key in &self.keys {
            activity.extend(account.activity(key).await?);
        }
        let ledger = server.billed_days().await?;
        Ok(Bill::new(&activity, &ledger, self.since, Timestamp::now()))
    }
}

impl fmt::Debug for BilledAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BilledAccount").field("base_url", &self.base_url).field("keys", &self.keys).finish()
    }
}
