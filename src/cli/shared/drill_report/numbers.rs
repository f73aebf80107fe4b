//! Numbers, sizes, spans of time and dates, as each language writes them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::texts::Language;

/// A space that does not break.
const SPACE: char = '\u{a0}';
const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
const ENGLISH_MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const POLISH_MONTHS: [&str; 12] = [
    "stycznia",
    "lutego",
    "marca",
    "kwietnia",
    "maja",
    "czerwca",
    "lipca",
    "sierpnia",
    "września",
    "października",
    "listopada",
    "grudnia",
];

impl Language {
    /// Returns a whole number with its thousands apart.
    pub(super) fn number(self, value: i64) -> String {
        let mark = match self {
            Self::En => ',',
            Self::Pl => SPACE,
        };
        let digits = value.max(0).to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(mark);
            }
            text.push(digit);
        }
        text
    }

    /// Returns a number of bytes in its largest unit.
    pub(super) fn bytes(self, count: i64) -> String {
        let (mut tenths, mut unit) = (count.max(0).saturating_mul(10), 0);
        while tenths >= 10_000 && unit + 1 < UNITS.len() {
            tenths /= 1000;
            unit += 1;
        }
        let (whole, tenth) = (tenths / 10, tenths % 10);
        let mark = match self {
            Self::En => '.',
            Self::Pl => ',',
        };
        let number = if unit == 0 || whole >= 100 { whole.to_string() } else { format!("{whole}{mark}{tenth}") };
        format!("{number}{SPACE}{}", UNITS[unit])
    }

    /// Returns a span of time in its two largest units, from three days on in days.
    pub(super) fn span(self, span: SignedDuration) -> String {
        let seconds = span.as_secs().max(0);
        let (hour, days) = match self {
            Self::En => ("h", "days"),
            Self::Pl => ("godz.", "dni"),
        };
        match seconds {
            0..60 => format!("{seconds} s"),
            60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
            3600..259_200 => format!("{} {hour} {} min", seconds / 3600, seconds % 3600 / 60),
            _ => format!("{} {days}", seconds / 86_400),
        }
    }

    /// Returns a date with the time of day.
    pub(super) fn moment(self, at: Timestamp, zone: &TimeZone) -> String {
        let at = at.to_zoned(zone.clone());
        let months = match self {
            Self::En => ENGLISH_MONTHS,
            Self::Pl => POLISH_MONTHS,
        };
        let month =
            usize::try_from(at.month() - 1).ok().and_then(|index| months.get(index)).copied().unwrap_or_default();
        format!("{} {month} {}, {:02}:{:02}", at.day(), at.year(), at.hour(), at.minute())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_follow_the_language() {
        let (en, pl) = (Language::En, Language::Pl);
        assert_eq!([0, 999, 1000, 1_234_567].map(|count| en.number(count)), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(pl.number(1_234_567), "1\u{a0}234\u{a0}567");
        let sizes = [0, 999, 1000, 123_456, 99_900_000, 2_500_000_000];
        let shown = ["0\u{a0}B", "999\u{a0}B", "1.0\u{a0}kB", "123\u{a0}kB", "99.9\u{a0}MB", "2.5\u{a0}GB"];
        assert_eq!(sizes.map(|count| en.bytes(count)), shown);
        assert_eq!(pl.bytes(2_500_000_000), "2,5\u{a0}GB");
        let span = |language: Language, seconds| language.span(SignedDuration::from_secs(seconds));
        assert_eq!(
            [-1, 59, 60, 7260, 259_200].map(|s| span(en, s)),
            ["0 s", "59 s", "1 min 0 s", "2 h 1 min", "3 days"]
        );
        assert_eq!([7260, 259_200].map(|s| span(pl, s)), ["2 godz. 1 min", "3 dni"]);
    }
}
