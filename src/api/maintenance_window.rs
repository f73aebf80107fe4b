//! A weekly maintenance window, and its calendar.

use std::time::Duration;

use jiff::civil::{self, Date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::parse_duration;

/// Days until a window opens again at the latest. One that a change of clocks skips is a week later.
const PERIOD: i64 = 14;
/// Days that a window stays open at most, rounded up.
const LONGEST: i64 = 8;

/// A weekly maintenance window.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceWindow {
    /// Days on which it opens; empty means every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Weekday>,

    /// Local time at which it opens, such as "22:00".
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')").message("upgrade.window.start must be a time in quotes such as \"22:00\""))]
    #[schemars(length(max = 5))]
    pub start: String,

    /// Time it stays open, such as 4h; up to 168h.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([0-9]+(s|m|h))+$') && !self.matches('^(0+(s|m|h))+$')").message("upgrade.window.duration must be a duration above 0 such as 4h"))]
    #[x_kube(validation = kube::core::Rule::new("!self.matches('^([0-9]+(s|m|h))+$') || duration(self) <= duration('168h')").message("upgrade.window.duration may not exceed 168h, a week"))]
    #[schemars(length(max = 32))]
    pub duration: String,

    /// IANA time zone of start.
    #[serde(default = "default_time_zone")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[A-Za-z]+([_+-][A-Za-z0-9]+)*(/[A-Za-z0-9_+-]+)*$')").message("upgrade.window.timeZone must be an IANA name such as Europe/Warsaw"))]
    #[schemars(length(max = 64))]
    pub time_zone: String,
}

/// Days of the week.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the days say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl MaintenanceWindow {
    /// Returns when it opens next; nothing while it is open. A window that cannot be read, which the
    /// rules of a document exclude, never opens: the error says why.
    pub fn opens(&self, now: Timestamp) -> Result<Option<Timestamp>, String> {
        let zone = TimeZone::get(&self.time_zone).map_err(|error| error.to_string())?;
        let start = civil::Time::strptime("%H:%M", &self.start).map_err(|error| error.to_string())?;
        let length = parse_duration(&self.duration).map_err(|error| error.to_string())?;
        let today = now.to_zoned(zone.clone()).date();
        for days in -LONGEST..=PERIOD {
            let Ok(day) = today.checked_add(days.days()) else { continue };
            if !self.opens_on(day) {
                continue;
            }
            // A time that the clocks skip is moved behind the gap; of one that they show twice, the
            // first counts.
            let Ok(opening) = day.to_datetime(start).to_zoned(zone.clone()) else { continue };
            let opening = opening.timestamp();
            if opening > now {
                return Ok(Some(opening));
            }
            if now.duration_since(opening) < signed(length) {
                return Ok(None);
            }
        }
        Err(format!("no day of the next {PERIOD} is one of it"))
    }

    /// Returns a moment as people in the time zone of the window write it.
    pub fn local(&self, moment: Timestamp) -> String {
        let zone = TimeZone::get(&self.time_zone).unwrap_or(TimeZone::UTC);
        format!("{} {}", moment.to_zoned(zone).strftime("%Y-%m-%d %H:%M"), self.time_zone)
    }

    fn opens_on(&self, day: Date) -> bool {
        let weekday = match day.weekday() {
            civil::Weekday::Monday => Weekday::Monday,
            civil::Weekday::Tuesday => Weekday::Tuesday,
            civil::Weekday::Wednesday => Weekday::Wednesday,
            civil::Weekday::Thursday => Weekday::Thursday,
            civil::Weekday::Friday => Weekday::Friday,
            civil::Weekday::Saturday => Weekday::Saturday,
            civil::Weekday::Sunday => Weekday::Sunday,
        };
        self.days.is_empty() || self.days.contains(&weekday)
    }
}

fn signed(length: Duration) -> SignedDuration {
    SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX)
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn window(days: &[&str], start: &str, duration: &str, zone: &str) -> MaintenanceWindow {
        let window = json!({"days": days, "start": start, "duration": duration, "timeZone": zone});
        serde_json::from_value(window).unwrap()
    }

    fn time(text: &str) -> Timestamp {
        format!("2026-{text}:00Z").parse().unwrap()
    }

    #[test]
    fn window_is_open_from_its_start_for_its_duration() {
        let nightly = window(&[], "22:00", "4h", "UTC");
        let weekend = window(&["Saturday"], "22:00", "4h", "UTC");
        let long = window(&["Friday"], "18:00", "60h", "UTC");
        for (name, window, now, opens) in [
            ("before", &nightly, "11-03T21:59", Some("11-03T22:00")),
            ("at its start", &nightly, "11-03T22:00", None),
            ("after midnight", &nightly, "11-04T01:59", None),
            ("at its end", &nightly, "11-04T02:00", Some("11-04T22:00")),
            // The 7th is a Saturday.
            ("another day", &weekend, "11-03T22:30", Some("11-07T22:00")),
            ("its day, before", &weekend, "11-07T21:00", Some("11-07T22:00")),
            ("the day after, still", &weekend, "11-08T01:59", None),
            ("the day after, over", &weekend, "11-08T02:00", Some("11-14T22:00")),
            ("days later, still", &long, "11-08T23:00", None),
            ("days later, over", &long, "11-09T06:00", Some("11-13T18:00")),
        ] {
            assert_eq!(window.opens(time(now)), Ok(opens.map(time)), "{name}");
        }
    }

    #[test]
    fn window_follows_the_clocks_of_its_zone() {
        let night = window(&[], "02:30", "30m", "Europe/Warsaw");
        for (name, now, opens) in [
            ("summer", "06-01T00:00", Some("06-01T00:30")),
            ("winter", "12-01T00:00", Some("12-01T01:30")),
            // The clocks of Warsaw skip 2:00 to 3:00 on this day.
            ("a night without that hour", "03-29T00:00", Some("03-29T01:30")),
            ("the same, open", "03-29T01:59", None),
            ("the same, over", "03-29T02:00", Some("03-30T00:30")),
            // They show 2:00 to 3:00 twice on this one.
            ("a night with that hour twice", "10-24T23:00", Some("10-25T00:30")),
            ("the same, open", "10-25T00:59", None),
            ("the second time", "10-25T01:30", Some("10-26T01:30")),
        ] {
            assert_eq!(night.opens(time(now)), Ok(opens.map(time)), "{name}");
        }
        assert_eq!(night.local(time("12-01T01:30")), "2026-12-01 02:30 Europe/Warsaw");
    }

    #[test]
    fn window_that_cannot_be_read_never_opens() {
        for window in [
            window(&[], "22:00", "4h", "Europe/Krakow"),
            window(&[], "noon", "4h", "UTC"),
            window(&[], "22:00", "long", "UTC"),
        ] {
            assert!(window.opens(time("11-03T22:00")).is_err(), "{window:?}");
        }
    }
}
