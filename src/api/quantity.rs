//! Kubernetes quantities as numbers: `10Gi`, `500m`, `1.5`, `2e3`.

/// Text that is not a quantity, or one below zero or too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity; write a number with a suffix such as 500m, 2, 512Mi or 10Gi")]
pub struct QuantityError(String);

/// Binary suffixes with their powers of two.
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
/// Decimal suffixes with their powers of ten.
const DECIMAL: [(&str, i32); 9] =
    [("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

/// Returns a quantity of memory or disk in bytes, rounded up.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    parse(text, 0).ok_or_else(|| QuantityError(text.to_owned()))
}

/// Returns a quantity of CPU in thousandths of a core, rounded up.
pub fn parse_cpu_millis(text: &str) -> Result<u64, QuantityError> {
    parse(text, 3).ok_or_else(|| QuantityError(text.to_owned()))
}

/// Returns a quantity times ten to the power of `scale`, rounded up. Exact: no floating point is
/// involved.
fn parse(text: &str, scale: i32) -> Option<u64> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut digits: u128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        digits = digits.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
    }
    let (factor, exponent) = factor(suffix)?;
    let exponent = exponent.checked_add(scale)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let value = digits.checked_mul(factor)?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs());
    let rounded = match (value, exponent) {
        (0, _) => 0,
        (_, 0..) => value.checked_mul(power?)?,
        // Less than the smallest unit is rounded up to one.
        _ => power.map_or(1, |power| value.div_ceil(power)),
    };
    u64::try_from(rounded).ok()
}

/// Returns the factor and the power of ten that a suffix stands for.
fn factor(suffix: &str) -> Option<(u128, i32)> {
    if suffix.is_empty() {
        return Some((1, 0));
    }
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Some((1 << power, 0));
    }
    if let Some((_, exponent)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Some((1, *exponent));
    }
    suffix.strip_prefix(['e', 'E'])?.parse().ok().map(|exponent| (1, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, bytes) in [
            ("10Gi", 10 << 30),
            ("512Mi", 512 << 20),
            ("1.5Ki", 1536),
            ("1Ti", 1 << 40),
            ("1Pi", 1 << 50),
            ("1Ei", 1 << 60),
            ("2k", 2000),
            ("3M", 3_000_000),
            ("2G", 2_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1P", 1_000_000_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("7", 7),
            ("+7", 7),
            ("7.", 7),
            (".5Ki", 512),
            ("0", 0),
            ("0m", 0),
            ("100m", 1),
            ("1001m", 2),
            ("1u", 1),
            ("1n", 1),
            ("1e3", 1000),
            ("1E3", 1000),
            ("1.25e+2", 125),
            ("1500e-3", 2),
            ("1e-99", 1),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for (text, millis) in [("1", 1000), ("500m", 500), ("1.5", 1500), ("0.1", 100), ("1u", 1), ("2k", 2_000_000)] {
            assert_eq!(parse_cpu_millis(text), Ok(millis), "{text}");
        }
        for text in [
            "",
            ".",
            "Gi",
            "-1",
            "--1",
            "+-1",
            "10 Gi",
            "10gi",
            "10KI",
            "1e3x",
            "1e",
            "ten",
            "1.2.3",
            "1Kim",
            "16Ei",
            "1e99",
            "18446744073709551616",
            "99999999999999999999999999999999999999999",
        ] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
