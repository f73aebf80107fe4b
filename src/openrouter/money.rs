//! Money: whole nano-USD (a billionth of a US dollar), parsed from decimal text exactly, never
//! through a float. Answers of small models cost less than a millionth.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// An amount of US dollars in whole billionths. Sums of it are exact.
///
/// In JSON it is written as an integer of nano-USD. It is *read* from the upstream's decimal
/// dollars (`0.0000415`, `4.15e-05` or the same as a string) with [`NanoUsd::from_str`] or, inside
/// a struct, [`deserialize_dollars`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(i64);

/// A text that is no amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount in US dollars: a decimal number of at most nine billion is needed")]
pub struct InvalidAmount(String);

impl NanoUsd {
    /// Known to be free, which is not the same as unknown.
    pub const ZERO: Self = Self(0);

    /// An amount given in whole nano-USD.
    pub const fn new(nano_usd: i64) -> Self {
        Self(nano_usd)
    }

    /// An amount given in whole micro-USD.
    pub const fn from_micro_usd(micro_usd: i64) -> Self {
        Self(micro_usd.saturating_mul(1000))
    }

    /// The amount in whole nano-USD.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The amount in whole micro-USD, rounded half up.
    pub const fn micro_usd(self) -> i64 {
        self.0.saturating_add(500).div_euclid(1000)
    }

    /// The amount divided into equal parts, rounded half up; for averages. No parts give the whole
    /// amount.
    pub fn divided_by(self, parts: u32) -> Self {
        let parts = i64::from(parts.max(1));
        Self((self.0.saturating_mul(2).saturating_add(parts)).div_euclid(parts.saturating_mul(2)))
    }
}

impl FromStr for NanoUsd {
    type Err = InvalidAmount;

    /// Reads decimal dollars, with or without exponent; what is below a nano-USD is rounded half
    /// away from zero.
    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        parse_scaled(text, 9)
            .and_then(|n| i64::try_from(n).ok())
            .map(Self)
            .ok_or_else(|| InvalidAmount(text.to_owned()))
    }
}

/// Reads a decimal text as an integer of 10^-`decimals`, rounding half away from zero. `None` when
/// it is no number or too large.
pub fn parse_scaled(text: &str, decimals: i32) -> Option<i128> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // Digits beyond these cannot change the rounded result of any amount that fits.
    let mut value: i128 = 0;
    let mut scale = exponent.checked_add(decimals)?;
    for (place, digit) in whole.bytes().chain(fraction.bytes()).enumerate() {
        let digit = (digit as char).to_digit(10)?;
        if value >= 10_i128.pow(36) {
            // Too many digits to hold: dropping the rest of a fraction keeps the value, of a whole
            // part scales it.
            if place < whole.len() {
                scale = scale.checked_add(1)?;
            }
            continue;
        }
        value = value * 10 + i128::from(digit);
        if place >= whole.len() {
            scale = scale.checked_sub(1)?;
        }
    }
    let value = match scale {
        _ if value == 0 => 0,
        0.. => value.checked_mul(10_i128.checked_pow(u32::try_from(scale).ok()?)?)?,
        // 10^38 is the largest power an i128 holds; anything divided by more rounds to nothing.
        ..=-39 => 0,
        _ => {
            let divisor = 10_i128.pow(scale.unsigned_abs());
            value / divisor + i128::from(value % divisor >= divisor - divisor / 2)
        }
    };
    Some(if negative { -value } else { value })
}

impl fmt::Display for NanoUsd {
    /// Dollars for people: six decimals below one cent, nine below a millionth, otherwise two
    /// (`$0.000415`, `$0.000000400`, `$12.30`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        match amount {
            1..1_000 => write!(f, "{sign}$0.{amount:09}"),
            1_000..9_999_500 => write!(f, "{sign}$0.{:06}", (amount + 500) / 1_000),
            _ => {
                let cents = (amount + 5_000_000) / 10_000_000;
                write!(f, "{sign}${}.{:02}", cents / 100, cents % 100)
            }
        }
    }
}

impl Add for NanoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

/// For `#[serde(deserialize_with)]`: optional decimal dollars, as a JSON number or string; null,
/// absent or nonsense is `None`.
///
/// Nonsense is `None` and not an error: a cost that cannot be read is unknown, and must not hide
/// the tokens next to it.
pub fn deserialize_dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NanoUsd>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(raw.get().trim_matches('"').parse().ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dollars_are_parsed_to_nano_dollars() {
        for (text, nano) in [
            ("0", 0),
            ("0.0", 0),
            ("1", 1_000_000_000),
            ("12.34", 12_340_000_000),
            ("0.000041", 41_000),
            ("4.0999999999999994e-05", 41_000),
            ("4.15E-5", 41_500),
            ("0.0000004", 400),
            ("0.0000000005", 1),
            ("0.00000000049999999999999999999999999999999999999999", 0),
            ("1e-10", 0),
            ("1e-300", 0),
            ("1.5e+2", 150_000_000_000),
            ("-0.25", -250_000_000),
            ("0.1", 100_000_000),
            ("9223372036.854775807", i64::MAX),
        ] {
            assert_eq!(text.parse::<NanoUsd>(), Ok(NanoUsd(nano)), "{text}");
        }
        for text in ["", "-", ".", "abc", "1.2.3", "0x10", "NaN", "9223372036.854775808", "9e12", "1e400", "null", "1 "]
        {
            assert!(text.parse::<NanoUsd>().is_err(), "{text}");
        }
    }

    #[test]
    fn small_amounts_are_shown_with_more_decimals() {
        for (nano, shown) in [
            (0, "$0.00"),
            (400, "$0.000000400"),
            (1_000, "$0.000001"),
            (9_999_000, "$0.009999"),
            (9_999_500, "$0.01"),
            (10_000_000, "$0.01"),
            (12_345_678_000, "$12.35"),
            (-415_000, "-$0.000415"),
        ] {
            assert_eq!(NanoUsd(nano).to_string(), shown);
        }
    }

    #[test]
    fn micro_dollars_are_rounded_half_up() {
        for (nano, micro) in [(0, 0), (499, 0), (500, 1), (36_079_500, 36_080), (-400, 0), (-1_600, -2)] {
            assert_eq!(NanoUsd(nano).micro_usd(), micro, "{nano}");
        }
        assert_eq!(NanoUsd::from_micro_usd(7), NanoUsd(7_000));
    }

    #[test]
    fn division_rounds_half_up() {
        assert_eq!(NanoUsd(10).divided_by(3), NanoUsd(3));
        assert_eq!(NanoUsd(11).divided_by(2), NanoUsd(6));
        assert_eq!(NanoUsd(7).divided_by(0), NanoUsd(7));
    }

    proptest! {
        #[test]
        fn amount_round_trips_through_dollars(nano in 0_i64..i64::MAX) {
            let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
            prop_assert_eq!(text.parse::<NanoUsd>().unwrap(), NanoUsd(nano));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC*") {
            let _ = text.parse::<NanoUsd>();
        }
    }
}
