//! Months and days of usage, divided by the midnights of the client's time zone.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Serialize, Serializer};

/// A calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(
    /// Its first day.
    Date,
);

/// A text that is no month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a month; write it like 2026-11")]
pub struct InvalidMonth(String);

impl Month {
    /// The month of this day.
    pub fn from_day(day: Date) -> Self {
        Self(day.first_of_month())
    }

    /// The current month in this time zone.
    pub fn current(zone: &TimeZone) -> Self {
        Self::from_day(Timestamp::now().to_zoned(zone.clone()).date())
    }

    /// The month before.
    pub fn previous(self) -> Self {
        Self(self.0.checked_sub(1.month()).unwrap_or(self.0))
    }

    /// The month after.
    pub fn next(self) -> Self {
        Self(self.0.checked_add(1.month()).unwrap_or(self.0))
    }

    /// Its first day.
    pub fn first_day(self) -> Date {
        self.0
    }

    /// Its last day.
    pub fn last_day(self) -> Date {
        self.0.last_of_month()
    }

    /// All its days.
    pub fn days(self) -> impl Iterator<Item = Date> {
        self.0.series(1.day()).take(usize::from(self.0.days_in_month().unsigned_abs()))
    }

    /// The number of its days that have begun: all of a past month, none of a future one, today
    /// included.
    pub fn days_begun(self, today: Date) -> u32 {
        u32::try_from(self.days().take_while(|day| *day <= today).count()).unwrap_or(0)
    }
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let day = (text.len() == 7).then(|| format!("{text}-01").parse().ok()).flatten();
        day.map(Self).ok_or_else(|| InvalidMonth(text.to_owned()))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The number of days from 1970-01-01 to a day.
pub(super) fn number_of(day: Date) -> i64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    i64::from((day - epoch).get_days())
}

/// The month of the day with this number; `None` where there is no such day.
pub(super) fn month_of(number: i64) -> Option<Month> {
    let day = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(number).ok()?).ok()?;
    Some(Month::from_day(day))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn months_follow_the_calendar() {
        let october: Month = "2026-10".parse().unwrap();
        assert_eq!(number_of(october.first_day()), 20_727);
        assert_eq!(number_of(date(1970, 1, 1)), 0);
        assert_eq!((month_of(20_757), month_of(20_758)), (Some(october), Some(october.next())));
        assert_eq!(month_of(i64::MAX), None);
        assert_eq!(october.days().count(), 31);
        assert_eq!(october.next().days().last(), Some(date(2026, 11, 30)));
        assert_eq!(october.previous().to_string(), "2026-09");
    }

    #[test]
    fn only_days_that_have_begun_count() {
        let month: Month = "2026-02".parse().unwrap();
        assert_eq!(month.days_begun(date(2026, 1, 31)), 0);
        assert_eq!(month.days_begun(date(2026, 2, 3)), 3);
        assert_eq!(month.days_begun(date(2026, 7, 1)), 28);
    }

    #[test]
    fn malformed_months_are_refused() {
        for text in ["", "2026", "2026-13", "2026-1", "11-2026", "2026-11-01"] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
    }
}
