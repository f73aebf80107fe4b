//! The price of an answer: what the client is billed for what the upstream charges.

use std::str::FromStr;

use mai_openrouter::NanoUsd;
use mai_openrouter::money::parse_scaled;

/// A decimal factor in whole millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millionths(i64);

/// A text that is no factor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a decimal from 0 to 100 with at most six places")]
pub struct InvalidFactor(String);

impl Millionths {
    const ONE: i64 = 1_000_000;

    /// A factor given in whole millionths.
    pub(super) const fn new(millionths: i64) -> Self {
        Self(millionths)
    }

    /// The factor in whole millionths.
    pub(super) const fn get(self) -> i64 {
        self.0
    }
}

impl FromStr for Millionths {
    type Err = InvalidFactor;

    fn from_str(text: &str) -> Result<Self, InvalidFactor> {
        let invalid = || InvalidFactor(text.to_owned());
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        if !is_plain || places > 6 {
            return Err(invalid());
        }
        let millionths = parse_scaled(text, 6).and_then(|n| i64::try_from(n).ok());
        millionths.filter(|n| (0..=100 * Self::ONE).contains(n)).map(Self).ok_or_else(invalid)
    }
}

/// The factors that make a price of a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pricing {
    /// The amount that is billed for each dollar of cost.
    pub markup: Millionths,
    /// The share that the upstream takes when credits are bought.
    pub credit_fee: Millionths,
}

impl Pricing {
    /// The price is the cost.
    pub const AT_COST: Self = Self { markup: Millionths(Millionths::ONE), credit_fee: Millionths(0) };

    /// Returns the price of what costs this: with the fee and the markup, rounded half up once.
    pub fn price(self, cost: NanoUsd) -> NanoUsd {
        let one = i128::from(Millionths::ONE);
        let product = i128::from(cost.get()) * (one + i128::from(self.credit_fee.0)) * i128::from(self.markup.0);
        let price = (product + one * one / 2).div_euclid(one * one);
        NanoUsd::new(i64::try_from(price).unwrap_or(i64::MAX))
    }

    /// Returns the highest cost of which the price is no more than this.
    pub(super) fn cost_within(self, price: NanoUsd) -> NanoUsd {
        let one = i128::from(Millionths::ONE);
        let factor = (one + i128::from(self.credit_fee.0)) * i128::from(self.markup.0);
        if factor == 0 {
            return NanoUsd::new(i64::MAX);
        }
        let cost = i128::from(price.get()) * one * one / factor;
        NanoUsd::new(i64::try_from(cost).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pricing(markup: &str, credit_fee: &str) -> Pricing {
        Pricing { markup: markup.parse().unwrap(), credit_fee: credit_fee.parse().unwrap() }
    }

    #[test]
    fn price_is_cost_with_fee_and_markup_rounded_once() {
        for (markup, fee, cost, price) in [
            ("1", "0", 7, 7),
            ("1.3", "0", 1_000_000_000, 1_300_000_000),
            ("1.3", "0.055", 1_000_000_000, 1_371_500_000),
            ("1", "0.055", 10, 11),
            ("1.3", "0", 1, 1),
            ("1.5", "0", 1, 2),
            ("1.5", "0", -1, -1),
            ("0.5", "0", 400, 200),
            ("100", "1", i64::MAX, i64::MAX),
        ] {
            assert_eq!(
                pricing(markup, fee).price(NanoUsd::new(cost)),
                NanoUsd::new(price),
                "{cost} x {markup} + {fee}"
            );
        }
        assert_eq!(Pricing::AT_COST, pricing("1.0", "0"));
        assert_eq!(pricing("1.3", "0.055").cost_within(NanoUsd::new(1_371_500_001)), NanoUsd::new(1_000_000_000));
        assert_eq!(pricing("0", "0").cost_within(NanoUsd::ZERO), NanoUsd::new(i64::MAX));
    }

    #[test]
    fn factors_are_plain_decimals() {
        for text in ["", ".", "-1", "1e2", "1,3", "100.000001", "1.0000001", "NaN", " 1"] {
            assert!(text.parse::<Millionths>().is_err(), "{text}");
        }
        assert_eq!("0.055".parse(), Ok(Millionths(55_000)));
    }
}
