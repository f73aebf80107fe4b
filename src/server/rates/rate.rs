//! A rate, and its relation to a month.

use jiff::civil::Date;
use mai_openrouter::NanoUsd;
use serde::Serialize;

use crate::usage::Month;
use crate::zloty::{InvalidMid, Mid, Pln};

/// Most bytes of the number of a table.
const LONGEST_NUMBER: usize = 32;

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    /// The rate itself.
    #[error(transparent)]
    Mid(#[from] InvalidMid),
    /// The number of the table.
    #[error("`{0}` is no number of a table of NBP; copy it as it stands there, such as 230/A/NBP/2026")]
    Number(String),
    /// The day.
    #[error("`{0}` is no day; write it like 2026-11-27")]
    Day(String),
    /// The parts of a declared rate.
    #[error("`{0}` is no declared rate; write day, rate and table, such as 2026-11-27 3.6123 230/A/NBP/2026")]
    Parts(String),
}

/// Who gave a rate; the later ones win over the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RateSource {
    /// An administrator, who typed it in.
    Manual,
    /// NBP.
    Nbp,
    /// The document of the instance.
    Document,
}

impl RateSource {
    /// The code in the database and the JSON API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Nbp => "nbp",
            Self::Document => "document",
        }
    }

    /// Returns the source of a code.
    pub(super) fn parse(code: &str) -> Option<Self> {
        [Self::Manual, Self::Nbp, Self::Document].into_iter().find(|source| source.as_str() == code)
    }
}

/// The rate of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// The day of the table.
    pub date: Date,
    /// Who gave it.
    pub source: RateSource,
    /// The number of the table, such as `230/A/NBP/2026`.
    #[serde(rename = "table")]
    pub number: String,
    /// The rate.
    pub mid: Mid,
}

impl Rate {
    /// A rate from texts that somebody else wrote.
    pub fn parse(source: RateSource, date: &str, mid: &str, number: &str) -> Result<Self, InvalidRate> {
        let day = date.trim();
        let is_day = day.len() == 10;
        let date = day.parse().ok().filter(|_| is_day).ok_or_else(|| InvalidRate::Day(excerpt(day)))?;
        let number = number.trim();
        if !is_number(number) {
            return Err(InvalidRate::Number(excerpt(number)));
        }
        Ok(Self { date, source, number: number.to_owned(), mid: mid.trim().parse()? })
    }

    /// A rate as the document declares it: day, rate and number of the table, apart by blanks.
    pub fn declared(text: &str) -> Result<Self, InvalidRate> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        match parts.as_slice() {
            [date, mid, number] => Self::parse(RateSource::Document, date, mid, number),
            _ => Err(InvalidRate::Parts(excerpt(text))),
        }
    }
}

/// Returns whether this is the number of a table, such as `1/A/NBP/2026`.
pub(super) fn is_number(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let is_digits =
        |part: &str, longest| (1..=longest).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
    matches!(parts.as_slice(), [count, "A" | "B" | "C", "NBP", year] if is_digits(count, 3) && is_digits(year, 4))
}

fn excerpt(text: &str) -> String {
    text.chars().take(2 * LONGEST_NUMBER).collect()
}

/// The relation of a rate to a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RateBasis {
    /// The month runs, and this is the newest rate.
    Newest,
    /// The month is over, and this is its rate for ever.
    Frozen,
    /// The month is over, and its own rate is not known yet; this is the last one that is.
    Provisional,
}

/// The rate of a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonthRate {
    /// The month.
    pub month: Month,
    /// Its relation to the rate.
    pub basis: RateBasis,
    /// The rate.
    #[serde(flatten)]
    pub rate: Rate,
}

impl MonthRate {
    /// Returns an amount in złoty, rounded half up to whole groszy. It is called once for each line
    /// that is shown, with the sum of that line: rounded amounts are never added.
    pub fn pln(&self, amount: NanoUsd) -> Pln {
        self.rate.mid.pln(amount)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(mid: &str) -> MonthRate {
        let rate = Rate::parse(RateSource::Nbp, "2026-10-30", mid, "212/A/NBP/2026").unwrap();
        MonthRate { month: "2026-10".parse().unwrap(), basis: RateBasis::Frozen, rate }
    }

    #[test]
    fn złoty_are_rounded_half_up_once() {
        for (mid, nano, shown) in [
            ("3.8", 1_000_000_000, "3.80"),
            ("3.6123", 10_000_000_000, "36.12"),
            // 0.005 zł exactly, a billionth of a dollar less, and the same below zero.
            ("4", 1_250_000, "0.01"),
            ("4", 1_249_999, "0.00"),
            ("4", -1_250_000, "0.00"),
            ("4", -1_250_001, "-0.01"),
            ("3.6123", -10_000_000_000, "-36.12"),
            ("1000", i64::MAX, "9223372036854.78"),
        ] {
            assert_eq!(at(mid).pln(NanoUsd::new(nano)).to_string(), shown, "{nano} at {mid}");
        }
    }

    #[test]
    fn declared_rate_has_day_rate_and_table() {
        let rate = Rate::declared(" 2026-11-27  3.6123 230/A/NBP/2026 ").unwrap();
        assert_eq!((rate.date.to_string().as_str(), rate.number.as_str()), ("2026-11-27", "230/A/NBP/2026"));
        for text in [
            "",
            "2026-11-27 3.6",
            "2026-11-27 3.6 230/A/NBP/26x",
            "27.11.2026 3.6 1/A/NBP/2026",
            "2026-11-27 0 1/A/NBP/2026",
        ] {
            assert!(Rate::declared(text).is_err(), "{text}");
        }
    }
}
