//! Numbers, money, dates and times as each language writes them.

use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};

use super::{Locale, plural, texts};
use crate::zloty::{Mid, Pln};
use mai_openrouter::NanoUsd;

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

texts! {
    /// Names of months and spans of time.
    TimeTexts

    months -> [&'static str; 12] {
        en: ENGLISH_MONTHS,
        pl: [
            "styczeń",
            "luty",
            "marzec",
            "kwiecień",
            "maj",
            "czerwiec",
            "lipiec",
            "sierpień",
            "wrzesień",
            "październik",
            "listopad",
            "grudzień",
        ],
    }
    months_of_day -> [&'static str; 12] {
        en: ENGLISH_MONTHS,
        pl: [
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
        ],
    }
    just_now { en: "just now", pl: "przed chwilą" }
    minutes_ago(n: i64) {
        en: plural::english(n, "minute ago", "minutes ago"),
        pl: if n == 1 { "minutę temu".to_owned() } else { plural::polish(n, "", "minuty temu", "minut temu") },
    }
    hours_ago(n: i64) {
        en: plural::english(n, "hour ago", "hours ago"),
        pl: if n == 1 { "godzinę temu".to_owned() } else { plural::polish(n, "", "godziny temu", "godzin temu") },
    }
    days_ago(n: i64) {
        en: if n == 1 { "yesterday".to_owned() } else { format!("{n} days ago") },
        pl: if n == 1 { "wczoraj".to_owned() } else { plural::polish(n, "", "dni temu", "dni temu") },
    }
}

/// A thin space that does not break: `1 234` stays on one line.
const NARROW_SPACE: char = '\u{202f}';

impl Locale {
    fn decimal_mark(self) -> char {
        match self {
            Self::En => '.',
            Self::Pl => ',',
        }
    }

    fn thousands_mark(self) -> char {
        match self {
            Self::En => ',',
            Self::Pl => NARROW_SPACE,
        }
    }

    /// Returns a whole number with its thousands apart: `12,345` or `12 345`.
    pub(crate) fn number(self, value: i64) -> String {
        let digits = value.unsigned_abs().to_string();
        let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
        if value < 0 {
            out.push('-');
        }
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                out.push(self.thousands_mark());
            }
            out.push(digit);
        }
        out
    }

    /// Returns US dollars: nine decimals below a millionth, six below one cent, two from there on
    /// (rounded half up).
    pub(crate) fn usd(self, amount: NanoUsd) -> String {
        let sign = if amount < NanoUsd::ZERO { "-" } else { "" };
        let nano = amount.get().unsigned_abs();
        let mark = self.decimal_mark();
        let amount = match nano {
            1..1_000 => format!("0{mark}{nano:09}"),
            1_000..9_999_500 => format!("0{mark}{:06}", (nano + 500) / 1_000),
            _ => {
                let cents = (nano.saturating_add(5_000_000)) / 10_000_000;
                let whole = self.number(i64::try_from(cents / 100).unwrap_or(i64::MAX));
                format!("{whole}{mark}{:02}", cents % 100)
            }
        };
        match self {
            Self::En => format!("{sign}${amount}"),
            Self::Pl => format!("{sign}{amount}\u{a0}$"),
        }
    }

    /// Returns an amount in złoty at this rate; in dollars without one.
    pub(crate) fn money(self, amount: NanoUsd, mid: Option<Mid>) -> String {
        mid.map_or_else(|| self.usd(amount), |mid| self.pln(mid.pln(amount)))
    }

    /// Returns złoty: `PLN 1,234.50`, `1 234,50 zł`.
    pub(crate) fn pln(self, amount: Pln) -> String {
        let (sign, groszy) = (if amount.groszy() < 0 { "-" } else { "" }, amount.groszy().unsigned_abs());
        let whole = self.number(i64::try_from(groszy / 100).unwrap_or(i64::MAX));
        let amount = format!("{whole}{}{:02}", self.decimal_mark(), groszy % 100);
        match self {
            Self::En => format!("{sign}PLN\u{a0}{amount}"),
            Self::Pl => format!("{sign}{amount}\u{a0}zł"),
        }
    }

    /// Returns an exchange rate: `3.6123`, `3,6123`.
    pub(crate) fn exchange_rate(self, mid: Mid) -> String {
        mid.to_string().replace('.', self.decimal_mark().encode_utf8(&mut [0; 4]))
    }

    /// Returns a month and its year: `November 2026`, `listopad 2026`.
    pub(crate) fn month(self, date: Date) -> String {
        let index = usize::from(date.month().unsigned_abs()).saturating_sub(1);
        format!("{} {}", TimeTexts(self).months().get(index).unwrap_or(&""), date.year())
    }

    /// Returns a day within its year: `24 November`, `24 listopada`.
    pub(crate) fn day(self, date: Date) -> String {
        let index = usize::from(date.month().unsigned_abs()).saturating_sub(1);
        format!("{} {}", date.day(), TimeTexts(self).months_of_day().get(index).unwrap_or(&""))
    }

    /// Returns a time of day: `08:05`.
    pub(crate) fn clock(self, at: &Zoned) -> String {
        format!("{:02}:{:02}", at.hour(), at.minute())
    }

    /// Returns the time from `then` to `now` in words, or the date of `then` when that is more than
    /// a week.
    pub(crate) fn ago(self, then: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
        let time = TimeTexts(self);
        let minutes = (now.as_millisecond() - then.as_millisecond()).max(0) / 60_000;
        match minutes {
            0 => time.just_now().to_owned(),
            1..60 => time.minutes_ago(minutes),
            60..1440 => time.hours_ago(minutes / 60),
            1440..10_080 => time.days_ago(minutes / 1440),
            _ => {
                let date = then.to_zoned(zone.clone()).date();
                format!("{} {}", self.day(date), date.year())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn money_has_six_decimals_below_a_cent_and_two_above() {
        let table = [
            (0, "$0.00", "0,00\u{a0}$"),
            (1, "$0.000001", "0,000001\u{a0}$"),
            (9_999, "$0.009999", "0,009999\u{a0}$"),
            (10_000, "$0.01", "0,01\u{a0}$"),
            (14_999, "$0.01", "0,01\u{a0}$"),
            (15_000, "$0.02", "0,02\u{a0}$"),
            (1_234_567_890, "$1,234.57", "1\u{202f}234,57\u{a0}$"),
            (-2_500_000, "-$2.50", "-2,50\u{a0}$"),
        ];
        for (micro, english, polish) in table {
            assert_eq!(Locale::En.usd(NanoUsd::from_micro_usd(micro)), english);
            assert_eq!(Locale::Pl.usd(NanoUsd::from_micro_usd(micro)), polish);
        }
    }

    #[test]
    fn złoty_have_two_decimals_and_rates_at_least_four() {
        for (groszy, english, polish) in [
            (0, "PLN\u{a0}0.00", "0,00\u{a0}zł"),
            (123_456, "PLN\u{a0}1,234.56", "1\u{202f}234,56\u{a0}zł"),
            (-5, "-PLN\u{a0}0.05", "-0,05\u{a0}zł"),
        ] {
            assert_eq!(Locale::En.pln(Pln::new(groszy)), english);
            assert_eq!(Locale::Pl.pln(Pln::new(groszy)), polish);
        }
        let mid = "3.8".parse().unwrap();
        assert_eq!((Locale::En.exchange_rate(mid), Locale::Pl.exchange_rate(mid)), ("3.8000".into(), "3,8000".into()));
    }

    #[test]
    fn number_has_its_thousands_apart() {
        assert_eq!(Locale::En.number(1_234_567), "1,234,567");
        assert_eq!(Locale::Pl.number(-1_234), "-1\u{202f}234");
        assert_eq!(Locale::En.number(999), "999");
    }

    #[test]
    fn polish_age_takes_the_form_of_its_number() {
        let now = Timestamp::from_second(2_000_000_000).unwrap();
        let ago = |minutes: i64| {
            Locale::Pl.ago(Timestamp::from_second(2_000_000_000 - minutes * 60).unwrap(), now, &TimeZone::UTC)
        };
        assert_eq!(ago(0), "przed chwilą");
        assert_eq!(ago(1), "minutę temu");
        assert_eq!(ago(3), "3 minuty temu");
        assert_eq!(ago(12), "12 minut temu");
        assert_eq!(ago(22), "22 minuty temu");
        assert_eq!(ago(60 * 5), "5 godzin temu");
        assert_eq!(ago(1440), "wczoraj");
        assert_eq!(ago(1440 * 30), "18 kwietnia 2033");
    }
}
