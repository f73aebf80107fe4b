//! Times, which are seconds, milliseconds or nanoseconds depending on the table and the release.

use jiff::Timestamp;
use serde_json::Value;

const DAY: i64 = 86_400_000;
/// 2020-01-01: no row is older.
const EARLIEST: i64 = 1_577_836_800_000;

/// Returns the milliseconds of a number or its text; `None` where that is not a time that a row can
/// have.
pub(super) fn milliseconds(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let milliseconds = match number {
        nanoseconds if nanoseconds > 1e16 => nanoseconds / 1e6,
        milliseconds if milliseconds > 1e10 => milliseconds,
        seconds => seconds * 1e3,
    };
    // Saturates, and what is out of range is refused below.
    #[allow(clippy::cast_possible_truncation)]
    let milliseconds = milliseconds as i64;
    let latest = Timestamp::now().as_millisecond() + DAY;
    (EARLIEST..=latest).contains(&milliseconds).then_some(milliseconds)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::milliseconds;

    #[test]
    fn units_are_told_by_size() {
        for (value, expected) in [
            (json!(1_700_000_000), Some(1_700_000_000_000)),
            (json!(1_700_000_000.25), Some(1_700_000_000_250)),
            (json!("1700000000123"), Some(1_700_000_000_123)),
            (json!(1_700_000_000_123_000_000_u64), Some(1_700_000_000_123)),
            (json!(0), None),
            (json!(99_999_999_999_999_u64), None),
            (json!("yesterday"), None),
        ] {
            assert_eq!(milliseconds(&value), expected, "{value}");
        }
    }
}
