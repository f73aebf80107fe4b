//! Złoty, their rate to the US dollar, and the arithmetic between them: integers alone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use mai_openrouter::NanoUsd;
use mai_openrouter::money::parse_scaled;
use serde::{Serialize, Serializer};

/// Decimals of a [`Mid`]. NBP gives four.
const DECIMALS: i32 = 6;
/// The highest rate that is taken for one, in millionths.
const HIGHEST: i64 = 1_000_000_000;
/// Most characters of a text that an error repeats.
const LONGEST: usize = 32;

/// Złoty for one US dollar, in millionths; above zero and at most 1,000 zł.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mid(i64);

/// The newest rate that is known. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct NewestRate(Arc<AtomicI64>);

impl NewestRate {
    /// Returns the rate; nothing while none is known.
    pub fn get(&self) -> Option<Mid> {
        Mid::from_millionths(self.0.load(Ordering::Relaxed))
    }

    /// Replaces the rate.
    pub(crate) fn set(&self, rate: Option<Mid>) {
        self.0.store(rate.map_or(0, Mid::millionths), Ordering::Relaxed);
    }
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no exchange rate; give złoty for one US dollar with at most six decimals, such as 3.6123")]
pub struct InvalidMid(String);

impl Mid {
    /// A rate given in millionths; `None` where no rate is as low or as high.
    pub fn from_millionths(millionths: i64) -> Option<Self> {
        (1..=HIGHEST).contains(&millionths).then_some(Self(millionths))
    }

    /// The rate in millionths.
    pub fn millionths(self) -> i64 {
        self.0
    }

    /// Returns an amount in złoty, rounded half up to whole groszy.
    pub fn pln(self, amount: NanoUsd) -> Pln {
        let product = i128::from(amount.get()) * i128::from(self.0);
        Pln(saturated((2 * product + UNIT).div_euclid(2 * UNIT)))
    }

    /// Returns an amount in dollars, rounded down to whole nano-USD.
    pub fn usd(self, amount: Pln) -> NanoUsd {
        NanoUsd::new(saturated((i128::from(amount.0) * UNIT).div_euclid(i128::from(self.0))))
    }
}

/// 10^9 nano-USD and 10^6 millionths to 10^2 groszy.
const UNIT: i128 = 10_000_000_000_000;

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

impl FromStr for Mid {
    type Err = InvalidMid;

    /// Reads a decimal number, which is not rounded: a rate with more decimals than are kept is
    /// refused.
    fn from_str(text: &str) -> Result<Self, InvalidMid> {
        let invalid = || InvalidMid(text.chars().take(LONGEST).collect());
        let millionths = parse_scaled(text, DECIMALS).ok_or_else(invalid)?;
        let is_exact = parse_scaled(text, 2 * DECIMALS) == millionths.checked_mul(1_000_000);
        let mid = i64::try_from(millionths).ok().and_then(Self::from_millionths);
        mid.filter(|_| is_exact).ok_or_else(invalid)
    }
}

impl fmt::Display for Mid {
    /// At least four decimals, as NBP writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % 1_000_000);
        let kept = decimals.trim_end_matches('0').len().max(4);
        write!(f, "{}.{}", self.0 / 1_000_000, &decimals[..kept])
    }
}

impl Serialize for Mid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An amount of złoty in whole groszy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pln(i64);

impl Pln {
    /// An amount given in groszy.
    pub const fn new(groszy: i64) -> Self {
        Self(groszy)
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        parse_scaled(text, 2).and_then(|groszy| i64::try_from(groszy).ok()).map(Self)
    }

    /// The amount in groszy.
    pub const fn groszy(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Pln {
    /// A plain decimal, such as `-12.30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, groszy) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:02}", groszy / 100, groszy % 100)
    }
}

impl Serialize for Pln {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_read_exactly_or_refused() {
        for (text, shown) in
            [("3.8", "3.8000"), ("3.6123", "3.6123"), ("4", "4.0000"), ("0.000001", "0.000001"), ("1000", "1000.0000")]
        {
            assert_eq!(text.parse::<Mid>().unwrap().to_string(), shown);
        }
        for text in ["", "0", "-3.8", "3,8", "3.8x", "3.61234567", "1000.000001", "1e300", "NaN"] {
            assert!(text.parse::<Mid>().is_err(), "{text}");
        }
    }

    #[test]
    fn złoty_become_dollars_and_the_same_złoty_again() {
        for (mid, groszy, nano) in
            [("4", 100, 250_000_000), ("3.6123", 10_000, 27_683_193_533), ("3.6123", 1, 2_768_319)]
        {
            let mid: Mid = mid.parse().unwrap();
            assert_eq!(mid.usd(Pln::new(groszy)).get(), nano);
            assert_eq!(mid.pln(mid.usd(Pln::new(groszy))), Pln::new(groszy));
        }
    }
}
