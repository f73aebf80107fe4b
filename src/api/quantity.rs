//! Kubernetes quantities as numbers: `10Gi`, `500m`, `1.5`.

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a quantity; write a number with a suffix such as 500m, 2, 512Mi or 10Gi")]
pub struct QuantityError(String);

const SUFFIXES: [(&str, f64); 12] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("m", 0.001),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("", 1.0),
];

fn parse(text: &str) -> Result<f64, QuantityError> {
    let error = || QuantityError(text.to_owned());
    let (suffix, factor) = SUFFIXES.iter().find(|(suffix, _)| text.ends_with(suffix)).ok_or_else(error)?;
    let digits = &text[..text.len() - suffix.len()];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(error());
    }
    digits.parse::<f64>().map(|number| number * factor).map_err(|_| error())
}

/// A quantity of memory or disk in bytes, rounded up.
pub fn parse_bytes(text: &str) -> Result<u64, QuantityError> {
    parse(text).map(|number| number.ceil() as u64)
}

/// A quantity of CPU in thousandths of a core, rounded up.
pub fn parse_cpu_millis(text: &str) -> Result<u64, QuantityError> {
    parse(text).map(|number| (number * 1000.0).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, bytes) in
            [("10Gi", 10 << 30), ("512Mi", 512 << 20), ("1.5Ki", 1536), ("2G", 2_000_000_000), ("7", 7), ("100m", 1)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for (text, millis) in [("1", 1000), ("500m", 500), ("1.5", 1500), ("0.1", 100)] {
            assert_eq!(parse_cpu_millis(text), Ok(millis), "{text}");
        }
        for text in ["", "Gi", "-1", "10 Gi", "1e3x", "ten", "1.2.3"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
