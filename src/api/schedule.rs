//! The calendar of a schedule: the moments at which a cron line is due in a time zone.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use sha2::{Digest, Sha256};

use super::{Backup, Drill};

/// Longest time between two moments of a schedule that is accepted: the 29th of February is up to
/// eight years away.
const LONGEST_PERIOD: SignedDuration = SignedDuration::from_hours(24 * 366 * 8);
/// Hours of the night, in which the random moments of a day are.
const NIGHT_HOURS: u64 = 6;
/// Days that every month has.
const SHORTEST_MONTH: u64 = 28;

/// Schedule of one instance.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// A schedule that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The cron line is not one.
    #[error("{line:?} is not a schedule: {problem}")]
    Invalid {
        /// The line.
        line: String,
        /// Its problem.
        problem: String,
    },
    /// No day fits the cron line.
    #[error("{0:?} is never due: no day of the next eight years fits it")]
    Never(String),
    /// The time zone is not in the database.
    #[error("{0:?} is not a known time zone; write an IANA name such as Europe/Warsaw")]
    UnknownZone(String),
}

impl Schedule {
    /// Returns the schedule of the instance with this uid, on which random moments depend.
    pub fn from_backup(backup: &Backup, uid: &str) -> Result<Self, ScheduleError> {
        Self::parse(&backup.schedule, &backup.time_zone, uid)
    }

    /// Returns the schedule of the drills of the instance with this uid; None where it has none.
    pub fn of_drills(backup: &Backup, uid: &str) -> Option<Result<Self, ScheduleError>> {
        let name = match backup.drill {
            Drill::Never => return None,
            Drill::Daily => "@daily-random",
            Drill::Weekly => "@weekly-random",
            Drill::Monthly => "@monthly-random",
        };
        Some(Self::parse(name, &backup.time_zone, uid))
    }

    /// Parses a cron line of five fields, or one of the names that stand for one.
    pub(super) fn parse(line: &str, zone: &str, uid: &str) -> Result<Self, ScheduleError> {
        let zone = TimeZone::get(zone).map_err(|_| ScheduleError::UnknownZone(zone.to_owned()))?;
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let invalid = |problem: String| ScheduleError::Invalid { line: line.to_owned(), problem };
        let fields = fields(line, uid);
        if fields.starts_with('@') {
            return Err(invalid("no such name".to_owned()));
        }
        let cron = parser.parse(&fields).map_err(|error| invalid(error.to_string()))?;
        let schedule = Self { cron, zone };
        let now = Timestamp::now();
        match schedule.next(now) {
            Some(next) if next.duration_since(now) <= LONGEST_PERIOD => Ok(schedule),
            _ => Err(ScheduleError::Never(line.to_owned())),
        }
    }

    /// Returns the first moment after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&self.at(after), false).ok().map(|time| time.timestamp())
    }

    /// Returns the last moment that is not after `until`.
    pub fn latest(&self, until: Timestamp) -> Option<Timestamp> {
        self.cron.find_previous_occurrence(&self.at(until), true).ok().map(|time| time.timestamp())
    }

    /// Returns the whole second of a moment, as a cron line counts.
    fn at(&self, moment: Timestamp) -> Zoned {
        Timestamp::from_second(moment.as_second()).unwrap_or(moment).to_zoned(self.zone.clone())
    }
}

/// Returns the five fields that a name stands for, or the line itself.
fn fields(line: &str, uid: &str) -> String {
    let digest = Sha256::digest(uid);
    let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let (minute, rest) = (number % 60, number / 60);
    let (hour, rest) = (rest % NIGHT_HOURS, rest / NIGHT_HOURS);
    match line {
        "@hourly" => "0 * * * *".to_owned(),
        "@daily" => "0 0 * * *".to_owned(),
        "@weekly" => "0 0 * * 0".to_owned(),
        "@monthly" => "0 0 1 * *".to_owned(),
        "@yearly" => "0 0 1 1 *".to_owned(),
        "@hourly-random" => format!("{minute} * * * *"),
        "@daily-random" => format!("{minute} {hour} * * *"),
        "@weekly-random" => format!("{minute} {hour} * * {}", rest % 7),
        "@monthly-random" => format!("{minute} {hour} {} * *", 1 + rest % SHORTEST_MONTH),
        line => line.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn schedule(line: &str, zone: &str) -> Schedule {
        Schedule::parse(line, zone, "uid").unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn moments_follow_the_clocks_of_the_zone() {
        for (line, after, next) in [
            ("0 2 * * *", "2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z"),
            ("0 2 * * *", "2026-06-01T23:59:59Z", "2026-06-02T00:00:00Z"),
            // The clocks of Warsaw skip 2:00 to 3:00 on this day.
            ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"),
            ("30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
            // They show 2:00 to 3:00 twice on this one.
            ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
            ("0 * * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"),
            ("0 0 29 2 *", "2026-10-25T00:30:00Z", "2028-02-28T23:00:00Z"),
        ] {
            let schedule = schedule(line, "Europe/Warsaw");
            assert_eq!(schedule.next(time(after)), Some(time(next)), "{line} after {after}");
            assert_eq!(schedule.latest(time(next)), Some(time(next)), "{line} at {next}");
        }
    }

    #[test]
    fn schedule_that_cannot_be_followed_is_refused() {
        for (line, zone, expected) in [
            ("0 0 30 2 *", "UTC", "is never due"),
            ("0 0 31 4,6,9,11 *", "UTC", "is never due"),
            ("99 2 * * *", "UTC", "is not a schedule"),
            ("0 2 * *", "UTC", "is not a schedule"),
            ("0 0 2 * * *", "UTC", "is not a schedule"),
            ("@yearly-random", "UTC", "is not a schedule"),
            ("0 2 * * *", "Europe/Krakow", "is not a known time zone"),
        ] {
            let error = Schedule::parse(line, zone, "uid").unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn random_moments_are_fixed_and_spread() {
        let now = time("2026-11-30T12:00:00Z");
        for line in ["@hourly-random", "@daily-random", "@weekly-random", "@monthly-random"] {
            let next = |uid: &str| Schedule::parse(line, "UTC", uid).unwrap().next(now).unwrap();
            let moments: BTreeSet<Timestamp> = (0..20).map(|uid: i32| next(&uid.to_string())).collect();
            assert!(moments.len() > 12, "{line}: {moments:?}");
            assert_eq!(next("7"), next("7"));
            let hour = next("7").to_zoned(TimeZone::UTC).hour();
            assert!(line == "@hourly-random" || hour < 6, "{line}: {hour}");
        }
    }
}
