//! Limits password guessing: by account and address, by address, by account, and by device.
//!
//! Only wrong attempts count: each is counted when it begins, so that many at once cannot pass, and
//! given back when it was right. A device that has signed in to an account before is counted by
//! itself, so that no stranger can keep its owner out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mai_listener::subscriber_network;
use parking_lot::Mutex;

use super::device::DeviceId;
use super::error::AuthError;

/// Property of a wrong attempt that it is counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    AccountAtAddress(String, Option<IpAddr>),
    Address(IpAddr),
    Account(String),
    Device(DeviceId),
    OwnPassword(String),
}

/// Attempts at once, and the time after which another is allowed.
#[derive(Debug, Clone, Copy)]
struct Limit {
    burst: u32,
    refill: Duration,
}

impl Key {
    const fn limit(&self) -> Limit {
        let (burst, seconds) = match self {
            Self::AccountAtAddress(..) => (15, 3),
            // Fewer than the accounts of a client, so that one password tried on all is slowed.
            Self::Address(_) => (30, 2),
            Self::Account(_) => (60, 2),
            Self::Device(_) | Self::OwnPassword(_) => (15, 12),
        };
        Limit { burst, refill: Duration::from_secs(seconds) }
    }
}

/// Above this number of keys, those without recent attempts are dropped.
const SWEEP_ABOVE: usize = 16 * 1024;

/// Counts attempts in memory; a restart resets them. Cloning is cheap; clones count together.
#[derive(Clone, Default)]
pub struct Throttle {
    /// The time at which all attempts of a key are allowed again.
    free_at: Arc<Mutex<HashMap<Key, Instant>>>,
}

/// An attempt that was counted.
#[must_use]
pub(super) struct CountedAttempt {
    throttle: Throttle,
    keys: Vec<Key>,
}

impl CountedAttempt {
    /// Returns true for the attempt of a device that has signed in before.
    pub(super) fn is_of_known_device(&self) -> bool {
        matches!(self.keys.as_slice(), [Key::Device(_)])
    }

    /// Gives the attempt back, because it was right or nothing was tried.
    pub(super) fn take_back(self) {
        let mut free_at = self.throttle.free_at.lock();
        for key in &self.keys {
            if let Some(at) = free_at.get_mut(key) {
                *at = at.checked_sub(key.limit().refill).unwrap_or(*at);
            }
        }
    }
}

impl Throttle {
    /// Counts an attempt to sign in to an account; fails after too many. A `device` is one that has
    /// signed in to it before.
    pub(super) fn sign_in(
        &self,
        email: &str,
        address: Option<IpAddr>,
        device: Option<DeviceId>,
    ) -> Result<CountedAttempt, AuthError> {
        if let Some(device) = device
            && let Ok(counted) = self.count(vec![Key::Device(device)])
        {
            return Ok(counted);
        }
        let address = address.map(subscriber_network);
        let mut keys = vec![Key::AccountAtAddress(email.to_owned(), address), Key::Account(email.to_owned())];
        keys.extend(address.map(Key::Address));
        self.count(keys)
    }

    /// Counts an attempt of a signed-in person to name their password; fails after too many.
    pub(super) fn own_password(&self, email: &str) -> Result<CountedAttempt, AuthError> {
        self.count(vec![Key::OwnPassword(email.to_owned())])
    }

    fn count(&self, keys: Vec<Key>) -> Result<CountedAttempt, AuthError> {
        let now = Instant::now();
        let mut free_at = self.free_at.lock();
        if free_at.len() > SWEEP_ABOVE {
            sweep(&mut free_at, now);
        }
        let wait = keys.iter().filter_map(|key| wait(*free_at.get(key)?, key.limit(), now)).max();
        if let Some(wait) = wait {
            return Err(AuthError::TooManyAttempts(wait.as_secs() + 1));
        }
        for key in &keys {
            let at = free_at.entry(key.clone()).or_insert(now);
            *at = (*at).max(now) + key.limit().refill;
        }
        Ok(CountedAttempt { throttle: self.clone(), keys })
    }
}

/// Returns the time until another attempt is allowed; `None` if it is by now.
fn wait(free_at: Instant, limit: Limit, now: Instant) -> Option<Duration> {
    let allowed_ahead = limit.refill * (limit.burst - 1);
    free_at.checked_duration_since(now)?.checked_sub(allowed_ahead).filter(|wait| !wait.is_zero())
}

/// Drops keys without recent attempts, and then those with the fewest, until there is room.
fn sweep(free_at: &mut HashMap<Key, Instant>, now: Instant) {
    let mut kept = now;
    while free_at.len() > SWEEP_ABOVE / 2 {
        free_at.retain(|_, at| *at > kept);
        kept += Duration::from_secs(6);
    }
    free_at.shrink_to_fit();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    const ADDRESS: &str = "192.0.2.1";

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    /// Makes wrong attempts until one is refused; returns how many were not.
    fn allowed(mut attempt: impl FnMut(usize) -> Result<CountedAttempt, AuthError>) -> usize {
        (0..1000).find(|number| attempt(*number).is_err()).unwrap_or(1000)
    }

    #[test]
    fn wrong_attempts_are_limited_by_account_and_address() {
        let throttle = Throttle::default();
        assert_eq!(allowed(|_| throttle.sign_in("ada", address(ADDRESS), None)), 15);
        let elsewhere = throttle.sign_in("ada", address("192.0.2.2"), None);
        assert!(elsewhere.is_ok() && throttle.sign_in("bob", address(ADDRESS), None).is_ok());

        let sprayed = Throttle::default();
        assert_eq!(allowed(|n| sprayed.sign_in(&n.to_string(), address(ADDRESS), None)), 30);
        let scattered = Throttle::default();
        assert_eq!(allowed(|n| scattered.sign_in("ada", address(&format!("10.0.0.{}", n % 200)), None)), 60);
        let subscriber = Throttle::default();
        assert_eq!(allowed(|n| subscriber.sign_in(&n.to_string(), address(&format!("2001:db8::{n:x}")), None)), 30);
    }

    #[test]
    fn right_attempts_do_not_count() {
        let throttle = Throttle::default();
        for _ in 0..200 {
            throttle.sign_in("ada", address(ADDRESS), None).unwrap().take_back();
        }
        assert_eq!(allowed(|_| throttle.sign_in("ada", address(ADDRESS), None)), 15);
    }

    #[test]
    fn known_device_passes_where_strangers_are_refused() {
        let throttle = Throttle::default();
        let device = Some(DeviceId::from([7; 16]));
        allowed(|_| throttle.sign_in("ada", address(ADDRESS), None));
        throttle.sign_in("ada", address(ADDRESS), device).unwrap().take_back();
        assert_eq!(allowed(|_| throttle.sign_in("ada", address(ADDRESS), device)), 15, "it is limited by itself");
    }

    #[test]
    fn refused_attempt_is_told_when_the_next_is_allowed() {
        let throttle = Throttle::default();
        allowed(|_| throttle.own_password("ada"));
        let Err(AuthError::TooManyAttempts(wait)) = throttle.own_password("ada") else { panic!("allowed") };
        assert!((1..=13).contains(&wait), "{wait}");
    }

    #[test]
    fn table_of_attempts_stays_bounded() {
        let throttle = Throttle::default();
        for number in 0..4 * SWEEP_ABOVE {
            let _ = throttle.sign_in(&number.to_string(), None, None);
        }
        assert!(throttle.free_at.lock().len() <= SWEEP_ABOVE + 2);
    }
}
