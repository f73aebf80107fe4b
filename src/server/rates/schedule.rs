//! The times at which NBP is asked: soon after it publishes, and then less and less often until the
//! evening.

use jiff::civil::{Date, Time, Weekday, time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// The time zone of NBP.
pub(super) const ZONE: &str = "Europe/Warsaw";
/// NBP publishes about noon, and nothing says by when.
const PUBLISHED: Time = time(12, 30, 0, 0);
const EVENING: Time = time(21, 0, 0, 0);
/// Seconds until the second try; they double with each later one.
const FIRST_DELAY: i64 = 5 * 60;
const LONGEST_DELAY: i64 = 60 * 60;

/// The newest table, and the tries to get a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tries {
    /// The day of the newest table of NBP.
    pub(super) newest: Option<Date>,
    /// Time of the last question of this process.
    pub(super) last: Option<Timestamp>,
    /// Number of questions in vain, one after the other.
    pub(super) in_vain: u32,
}

/// Returns when NBP is asked next. `spread` is a part of the seconds until the second try, which
/// differs from server to server.
pub(super) fn next(tries: &Tries, now: Timestamp, zone: &TimeZone, spread: i64) -> Timestamp {
    let local = now.to_zoned(zone.clone());
    let Some(last) = tries.last.filter(|last| *last <= now) else {
        // A server that was off; or its clock was set back.
        return now;
    };
    let again = || {
        let doublings = tries.in_vain.saturating_sub(1).min(4);
        let delay = (FIRST_DELAY << doublings).min(LONGEST_DELAY) + spread.rem_euclid(FIRST_DELAY);
        last.checked_add(delay.seconds()).unwrap_or(now)
    };
    let waits_for_today = is_working_day(local.date())
        && (PUBLISHED..EVENING).contains(&local.time())
        && tries.newest.is_none_or(|newest| newest < local.date());
    let asked_since_noon = last.to_zoned(zone.clone()).datetime() >= local.date().to_datetime(PUBLISHED);
    if waits_for_today {
        return if asked_since_noon { again() } else { now };
    }
    let noon = next_noon(&local, spread);
    // A server that has no rate at all does not wait for noon.
    if tries.newest.is_none() { again().min(noon) } else { noon }
}

/// Returns the next time at which a table is expected.
fn next_noon(local: &Zoned, spread: i64) -> Timestamp {
    let mut day = local.date();
    if local.time() >= PUBLISHED {
        day = day.tomorrow().unwrap_or(day);
    }
    while !is_working_day(day) {
        let Ok(tomorrow) = day.tomorrow() else { break };
        day = tomorrow;
    }
    let noon = local.time_zone().to_zoned(day.to_datetime(PUBLISHED)).map_or(local.timestamp(), |at| at.timestamp());
    noon.checked_add(spread.rem_euclid(FIRST_DELAY).seconds()).unwrap_or(noon)
}

/// Monday to Friday. A holiday among them costs a few questions that are answered with 404.
fn is_working_day(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn nbp_is_asked_after_noon_and_less_often_to_the_evening() {
        let zone = TimeZone::get(ZONE).unwrap();
        let at = |text: &str| format!("{text}[{ZONE}]").parse::<Zoned>().unwrap().timestamp();
        // The 27th of November 2026 is a Friday.
        for (newest, last, in_vain, now, expected) in [
            // Nothing is known: at once, and then again and again.
            (None, None, 0, "2026-11-27T03:00", "2026-11-27T03:00"),
            (None, Some("2026-11-27T03:00"), 1, "2026-11-27T03:01", "2026-11-27T03:05"),
            (None, Some("2026-11-27T03:00"), 9, "2026-11-27T03:01", "2026-11-27T04:00"),
            // After a start, whatever the hour.
            (Some("2026-11-26"), None, 0, "2026-11-27T03:00", "2026-11-27T03:00"),
            // Before noon yesterday's table is the newest.
            (Some("2026-11-26"), Some("2026-11-27T03:00"), 0, "2026-11-27T03:01", "2026-11-27T12:30"),
            (Some("2026-11-26"), Some("2026-11-27T03:00"), 0, "2026-11-27T12:30", "2026-11-27T12:30"),
            (Some("2026-11-26"), Some("2026-11-27T12:30"), 1, "2026-11-27T12:31", "2026-11-27T12:35"),
            (Some("2026-11-26"), Some("2026-11-27T12:35"), 2, "2026-11-27T12:36", "2026-11-27T12:45"),
            (Some("2026-11-26"), Some("2026-11-27T20:00"), 9, "2026-11-27T20:01", "2026-11-27T21:00"),
            // In the evening it waits for the next working day.
            (Some("2026-11-26"), Some("2026-11-27T21:00"), 9, "2026-11-27T21:01", "2026-11-30T12:30"),
            (Some("2026-11-27"), Some("2026-11-27T12:30"), 0, "2026-11-27T12:31", "2026-11-30T12:30"),
            (Some("2026-11-27"), Some("2026-11-27T12:30"), 0, "2026-11-29T12:31", "2026-11-30T12:30"),
            // The clock was set back.
            (Some("2026-11-27"), Some("2026-11-27T12:30"), 0, "2026-11-20T12:31", "2026-11-20T12:31"),
        ] {
            let tries = Tries { newest: newest.map(|day: &str| day.parse().unwrap()), last: last.map(at), in_vain };
            assert_eq!(next(&tries, at(now), &zone, 0), at(expected), "{tries:?} at {now}");
        }
    }
}
