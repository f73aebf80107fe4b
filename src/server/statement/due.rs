//! The months that are to be closed.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::usage::Month;

/// Days after the end of a month until it is closed.
const GRACE_DAYS: i64 = 1;
/// Most months that are closed one after the other, where a server has kept books for longer.
const MOST_MONTHS: usize = 120;

/// Returns the moment from which a month may be closed.
pub(super) fn closes_at(month: Month, zone: &TimeZone) -> Timestamp {
    let first = month.next().first_day();
    let day = first.checked_add(GRACE_DAYS.days()).unwrap_or(first);
    zone.to_zoned(day.at(0, 0, 0, 0)).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

/// Returns the months to close, the earliest first. `newest` is the last one that was closed, `first`
/// the first one of which there is anything.
pub(super) fn due(first: Option<Month>, newest: Option<Month>, now: Timestamp, zone: &TimeZone) -> Vec<Month> {
    let Some(start) = newest.map(Month::next).or(first) else { return Vec::new() };
    let current = Month::from_day(now.to_zoned(zone.clone()).date());
    let mut months: Vec<Month> = std::iter::successors(Some(current.previous()), |month| Some(month.previous()))
        .skip_while(|month| closes_at(*month, zone) > now)
        .take_while(|month| *month >= start)
        .take(MOST_MONTHS)
        .collect();
    months.reverse();
    months
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn months_are_closed_a_day_after_their_end_and_once() {
        let warsaw = TimeZone::get("Europe/Warsaw").unwrap();
        for (first, newest, now, expected) in [
            (None, None, "2026-12-02T10:00:00Z", &[][..]),
            (Some("2026-11"), None, "2026-12-01T22:59:59Z", &[]),
            (Some("2026-11"), None, "2026-12-01T23:00:00Z", &["2026-11"]),
            (Some("2026-09"), None, "2026-12-01T10:00:00Z", &["2026-09", "2026-10"]),
            (Some("2026-09"), Some("2026-10"), "2026-12-02T10:00:00Z", &["2026-11"]),
            (Some("2026-09"), Some("2026-11"), "2026-12-02T10:00:00Z", &[]),
            // The clock was set back.
            (Some("2026-09"), Some("2026-11"), "2026-10-02T10:00:00Z", &[]),
            (Some("2026-09"), Some("2026-11"), "1970-01-01T00:00:00Z", &[]),
        ] {
            let month = |text: &str| text.parse::<Month>().unwrap();
            let found = due(first.map(month), newest.map(month), now.parse().unwrap(), &warsaw);
            let found: Vec<String> = found.iter().map(Month::to_string).collect();
            assert_eq!(found, expected, "{first:?} {newest:?} {now}");
        }
        let now = "2026-12-02T10:00:00Z".parse().unwrap();
        assert_eq!(due(Some("1970-01".parse().unwrap()), None, now, &warsaw).len(), MOST_MONTHS);
    }
}
