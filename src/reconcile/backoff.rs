//! How long to wait before something is tried again.

use std::time::Duration;

/// A server that ended by itself is started again at once the first time, then after 0.5 s, 1 s, 2 s … up to a minute.
pub(super) fn restart_delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => doubled(Duration::from_millis(500), n - 2),
    }
}

/// A pass that failed is repeated after 0.2 s, 0.4 s … up to a minute, give or take a fifth, so that instances that failed
/// together do not come back together.
pub(super) fn retry_delay(failures: u32, jitter: f64) -> Duration {
    doubled(Duration::from_millis(200), failures.saturating_sub(1)).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1 << times.min(16)).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_restart_is_immediate_and_later_ones_double_up_to_a_minute() {
        let millis: Vec<u128> = (0..12).map(|n| restart_delay(n).as_millis()).collect();
        assert_eq!(millis, [0, 0, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
    }

    #[test]
    fn retries_stay_within_a_fifth_of_their_step() {
        assert_eq!(retry_delay(1, 0.5), Duration::from_millis(200));
        assert_eq!(retry_delay(1, 0.0), Duration::from_millis(160));
        assert_eq!(retry_delay(1, 1.0), Duration::from_millis(240));
        assert_eq!(retry_delay(40, 0.5), Duration::from_secs(60));
    }
}
