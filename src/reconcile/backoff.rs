//! Delays before something is tried again.

use std::time::Duration;

/// Returns the delay before a server that ended by itself is started again: none the first time,
/// then 0.5 s, 1 s, 2 s … up to a minute.
pub(super) fn restart_delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => doubled(Duration::from_millis(500), n - 2),
    }
}

/// Returns the delay before a reconciliation that failed is repeated: 0.2 s, 0.4 s … up to a
/// minute, plus or minus a fifth, so that instances that failed together are not retried together.
pub(super) fn retry_delay(failures: u32, jitter: f64) -> Duration {
    doubled(Duration::from_millis(200), failures.saturating_sub(1)).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0))
}

/// Returns when an instance that has been blocked for `elapsed` is checked again: after 1 s, 2 s, 4
/// s …, as long as it has been blocked so far, up to `longest`.
pub(super) fn blocked_interval(elapsed: Duration, longest: Duration) -> Duration {
    elapsed.max(Duration::from_secs(1)).min(longest)
}

/// Returns the delay before a backup that failed is made again: 5, 10, 20, 40 and then 60 minutes.
pub(super) fn backup_retry_delay(failures: i32) -> Duration {
    let times = u32::try_from(failures.saturating_sub(1)).unwrap_or(0);
    Duration::from_secs(300).saturating_mul(1 << times.min(4)).min(Duration::from_secs(3600))
}

/// Returns the delay before a job is started again for which a stopped server waits: 1 s, 2 s, 4 s …
/// up to a minute.
pub(super) fn step_retry_delay(failures: i32) -> Duration {
    doubled(Duration::from_secs(1), u32::try_from(failures.saturating_sub(1)).unwrap_or(0))
}

/// Returns the delay before a call about a key that failed is made again: 1 s, 2 s, 4 s … up to five
/// minutes.
pub(super) fn key_retry_delay(failures: u32) -> Duration {
    let times = failures.saturating_sub(1).min(16);
    Duration::from_secs(1).saturating_mul(1 << times).min(Duration::from_secs(300))
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1 << times.min(16)).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_delay_doubles_after_the_first_up_to_a_minute() {
        let millis: Vec<u128> = (0..12).map(|n| restart_delay(n).as_millis()).collect();
        assert_eq!(millis, [0, 0, 500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
    }

    #[test]
    fn blocked_instance_is_checked_soon_and_then_slowly() {
        let mut elapsed = Duration::ZERO;
        let intervals: Vec<u64> = (0..8)
            .map(|_| {
                let interval = blocked_interval(elapsed, Duration::from_secs(15));
                elapsed += interval;
                interval.as_secs()
            })
            .collect();
        assert_eq!(intervals, [1, 1, 2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn failed_backup_is_repeated_within_the_hour() {
        let minutes: Vec<u64> = (0..8).map(|n| backup_retry_delay(n).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 5, 10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn failed_call_about_a_key_is_repeated_within_minutes() {
        let seconds: Vec<u64> = [1, 2, 3, 8, 9, 10, 99].iter().map(|n| key_retry_delay(*n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 128, 256, 300, 300]);
    }

    #[test]
    fn retry_delay_stays_within_a_fifth_of_its_step() {
        assert_eq!(retry_delay(1, 0.5), Duration::from_millis(200));
        assert_eq!(retry_delay(1, 0.0), Duration::from_millis(160));
        assert_eq!(retry_delay(1, 1.0), Duration::from_millis(240));
        assert_eq!(retry_delay(40, 0.5), Duration::from_secs(60));
    }
}
