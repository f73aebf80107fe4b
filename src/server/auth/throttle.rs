//! Limits password guessing: 15 attempts in three minutes for one e-mail from one address.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use super::error::AuthError;

type Key = (String, Option<IpAddr>);
type Limiter = RateLimiter<Key, HashMapStateStore<Key>, MonotonicClock, NoOpMiddleware<std::time::Instant>>;

/// Attempts allowed at once.
const BURST: NonZeroU32 = NonZeroU32::MIN.saturating_add(14);
/// One more attempt is allowed after this time: 15 in three minutes.
const REFILL: Duration = Duration::from_secs(12);
/// Above this number of e-mail and address pairs, those without recent attempts are dropped.
const SWEEP_ABOVE: usize = 1024;

/// Counts attempts in memory; a restart resets them. Cloning is cheap; clones count together.
#[derive(Clone)]
pub struct Throttle {
    limiter: Arc<Limiter>,
    clock: MonotonicClock,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        // `MonotonicClock` rather than governor's default, which measures the processor's clock at
        // start for some time.
        let clock = MonotonicClock;
        let quota = Quota::with_period(REFILL).unwrap_or(Quota::per_minute(BURST)).allow_burst(BURST);
        Self { limiter: Arc::new(RateLimiter::hashmap_with_clock(quota, clock.clone())), clock }
    }

    /// Counts one attempt; fails after too many.
    pub fn count(&self, email: &str, address: Option<IpAddr>) -> Result<(), AuthError> {
        if self.limiter.len() > SWEEP_ABOVE {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        let key = (email.trim().to_lowercase(), address);
        self.limiter.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            AuthError::TooManyAttempts(wait.as_secs() + 1)
        })
    }
}
