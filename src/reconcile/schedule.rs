//! Due times of backups, from what survives a restart: when the instance was created and which due
//! time was handled last. Functions of the clock that they are given.

use jiff::Timestamp;

use crate::api::Schedule;

/// Due times around a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// The newest due time that has passed and was not handled; all missed ones are made up for by
    /// one backup.
    pub(super) now: Option<Timestamp>,
    /// The first due time ahead.
    pub(super) next: Option<Timestamp>,
    /// Due time to remember as handled: the remembered one is more than a period ahead, so the clock
    /// was wrong then.
    pub(super) corrected: Option<Timestamp>,
}

/// Returns the due times around `now`. `handled` is the due time that was handled last; for a new
/// instance they count from its creation. Nothing is due again while a clock that was set back
/// passes the same times a second time.
pub(super) fn due(schedule: &Schedule, created: Timestamp, handled: Option<Timestamp>, now: Timestamp) -> Due {
    let mut since = handled.unwrap_or(created);
    let mut corrected = None;
    if since > now && second_after(schedule, now).is_none_or(|(_, second)| since >= second) {
        since = schedule.latest(now).unwrap_or(now);
        corrected = Some(since);
    }
    Due { now: schedule.latest(now).filter(|due| *due > since), next: schedule.next(now.max(since)), corrected }
}

/// Returns when the newest verified backup, or the begin of a wait for the first one, is too old:
/// after one and a half periods, and half a period after the next due time at the earliest, since
/// the periods of a schedule differ.
pub(super) fn overdue_at(schedule: &Schedule, since: Timestamp) -> Option<Timestamp> {
    let (first, second) = second_after(schedule, since)?;
    let half = second.duration_since(first) / 2;
    first.checked_add(half).ok().max(since.checked_add(half * 3).ok())
}

/// Returns the time as exactly as a status shows it.
pub(super) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Returns the first two due times after a moment.
fn second_after(schedule: &Schedule, moment: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let first = schedule.next(moment)?;
    Some((first, schedule.next(first)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schedule(line: &str, zone: &str) -> Schedule {
        let backup = serde_json::from_value(json!({"schedule": line, "timeZone": zone})).unwrap();
        Schedule::from_backup(&backup, "uid").unwrap()
    }

    fn time(text: &str) -> Timestamp {
        format!("2026-{text}:00Z").parse().unwrap()
    }

    #[test]
    fn missed_due_times_are_made_up_for_once() {
        let nightly = schedule("0 2 * * *", "UTC");
        for (name, created, handled, now, due_now, next) in [
            ("new, before its first", "11-01T12:00", None, "11-02T01:59", None, "11-02T02:00"),
            ("new, at its first", "11-01T12:00", None, "11-02T02:00", Some("11-02T02:00"), "11-03T02:00"),
            ("handled", "11-01T12:00", Some("11-02T02:00"), "11-02T02:00", None, "11-03T02:00"),
            ("the next", "11-01T12:00", Some("11-02T02:00"), "11-03T02:01", Some("11-03T02:00"), "11-04T02:00"),
            ("off for a week", "11-01T12:00", Some("11-02T02:00"), "11-09T12:00", Some("11-09T02:00"), "11-10T02:00"),
            ("asked by hand", "11-01T12:00", Some("11-09T12:00"), "11-09T12:00", None, "11-10T02:00"),
            ("clock set back", "11-01T12:00", Some("11-09T02:00"), "11-08T23:00", None, "11-10T02:00"),
            ("clock set back by a day", "11-01T12:00", Some("11-09T02:00"), "11-08T01:00", None, "11-08T02:00"),
        ] {
            let due = due(&nightly, time(created), handled.map(time), time(now));
            assert_eq!((due.now, due.next), (due_now.map(time), Some(time(next))), "{name}");
            assert_eq!(due.corrected.is_some(), name == "clock set back by a day", "{name}");
        }
    }

    #[test]
    fn due_time_far_ahead_is_corrected_and_the_next_one_kept() {
        let nightly = schedule("0 2 * * *", "UTC");
        for (created, handled) in [("11-01T12:00", Some("12-24T02:00")), ("12-24T12:00", None)] {
            let wrong = due(&nightly, time(created), handled.map(time), time("11-08T23:00"));
            assert_eq!(wrong.corrected, Some(time("11-08T02:00")));
            assert_eq!((wrong.now, wrong.next), (None, Some(time("11-09T02:00"))));
            let later = due(&nightly, time(created), wrong.corrected, time("11-09T02:00"));
            assert_eq!((later.now, later.corrected), (Some(time("11-09T02:00")), None));
        }
    }

    #[test]
    fn each_local_night_has_one_due_time() {
        for (line, day) in [("30 2 * * *", "03-29"), ("30 2 * * *", "10-25")] {
            let schedule = schedule(line, "Europe/Warsaw");
            let mut handled = time(&format!("{day}T00:00")) - jiff::SignedDuration::from_hours(12);
            let mut made = 0;
            for minute in 0..48 * 60 {
                let now = time(&format!("{day}T00:00")) + jiff::SignedDuration::from_mins(minute - 12 * 60);
                if let Some(newest) = due(&schedule, handled, Some(handled), now).now {
                    handled = newest;
                    made += 1;
                }
            }
            assert_eq!(made, 2, "{line} around {day}");
        }
    }

    #[test]
    fn backup_is_overdue_after_one_and_a_half_periods() {
        for (line, since, expected) in [
            ("0 2 * * *", "11-02T02:00", "11-03T14:00"),
            ("0 2 * * *", "11-02T02:07", "11-03T14:07"),
            ("0 2 * * *", "11-02T01:55", "11-03T13:55"),
            ("0 2 * * 1-5", "11-06T02:00", "11-09T14:00"),
            ("0 * * * *", "11-02T02:00", "11-02T03:30"),
            ("0 0 * * 0", "11-01T00:00", "11-11T12:00"),
        ] {
            assert_eq!(overdue_at(&schedule(line, "UTC"), time(since)), Some(time(expected)), "{line}");
        }
    }
}
