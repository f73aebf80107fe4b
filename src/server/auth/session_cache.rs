//! A bounded cache of credentials.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};

use super::extractor::CurrentUser;
use super::token::TokenHash;
use crate::user::UserId;

/// Longest interval between two writes of "last seen".
pub(super) const SEEN_EVERY_MS: i64 = 5 * 60 * 1000;
/// Most credentials cached; 20 people with a few devices and keys each stay far below.
const CAPACITY: usize = 1024;

/// Credentials and their users, so that a request does not read the database.
#[derive(Debug, Default)]
pub(super) struct SessionCache(Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    credentials: HashMap<TokenHash, Entry>,
    /// Grows with every invalidation. An entry read before one must not be stored after it.
    generation: u64,
}

/// A credential's user and times.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) user: CurrentUser,
    /// Milliseconds; `i64::MAX` for API keys that do not expire.
    pub(super) expires_at: i64,
    pub(super) seen_at: i64,
}

impl SessionCache {
    fn lock(&self) -> MutexGuard<'_, Cached> {
        self.0.lock()
    }

    /// Drops one credential.
    pub(super) fn forget(&self, credential: TokenHash) {
        let mut cached = self.lock();
        cached.generation += 1;
        cached.credentials.remove(&credential);
    }

    /// Drops all credentials of a user.
    pub(super) fn forget_user(&self, user: &UserId) {
        let mut cached = self.lock();
        cached.generation += 1;
        cached.credentials.retain(|_, entry| entry.user.id != *user);
    }

    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    pub(super) fn insert(&self, credential: TokenHash, entry: Entry, read_at: u64) {
        let mut cached = self.lock();
        if cached.generation != read_at {
            return;
        }
        if cached.credentials.len() >= CAPACITY {
            let now = Timestamp::now().as_millisecond();
            cached.credentials.retain(|_, entry| entry.expires_at > now);
            if cached.credentials.len() >= CAPACITY {
                cached.credentials.clear();
            }
        }
        cached.credentials.insert(credential, entry);
    }

    /// Returns the user of a credential, and true when "last seen" is due to be written.
    pub(super) fn get(&self, credential: &TokenHash, now: i64) -> Option<(CurrentUser, bool)> {
        let mut cached = self.lock();
        let entry = cached.credentials.get_mut(credential)?;
        if entry.expires_at <= now {
            cached.credentials.remove(credential);
            return None;
        }
        let due = now - entry.seen_at >= SEEN_EVERY_MS;
        if due {
            entry.seen_at = now;
        }
        Some((entry.user.clone(), due))
    }
}
