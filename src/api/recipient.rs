//! Public keys of age: `age1…`, in bech32 with a checksum, so a key that was copied wrongly is found
//! before anything is encrypted to nobody.

/// Human-readable part of a public key.
const PREFIX: &str = "age";
/// Digits of bech32, by value.
const DIGITS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Digits of a key of 32 bytes.
const KEY_DIGITS: usize = 52;
/// Digits of the checksum.
const CHECKSUM_DIGITS: usize = 6;

/// Beginning of a secret key, in capital letters.
const SECRET_PREFIX: &str = "AGE-SECRET-KEY-";

/// Returns what is wrong with a recipient, as a sentence, beyond the shape that the schema demands. A
/// secret key is not repeated.
pub(super) fn problem(text: &str) -> Option<String> {
    if is_secret_key(text) {
        return Some(
            "is a secret key, which whoever reads the document has now; make another, and declare its public key (age-keygen -y FILE)"
                .to_owned(),
        );
    }
    let is_wrong = is_shaped_like_recipient(text) && !is_recipient(text);
    is_wrong.then(|| format!("{text:?} has a typing error: its checksum is wrong; copy the public key again"))
}

/// Returns whether a text is a secret key of age.
fn is_secret_key(text: &str) -> bool {
    text.get(..SECRET_PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(SECRET_PREFIX))
}

/// Returns whether a text is as long as a public key of age and begins like one.
fn is_shaped_like_recipient(text: &str) -> bool {
    text.len() == PREFIX.len() + 1 + KEY_DIGITS + CHECKSUM_DIGITS && text.starts_with("age1")
}

/// Returns whether a text is a public key of age, with the right checksum.
fn is_recipient(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('1')) else { return false };
    let values: Option<Vec<u8>> = digits.bytes().map(value).collect();
    values.is_some_and(|values| values.len() == KEY_DIGITS + CHECKSUM_DIGITS && checksum(&values) == 1)
}

fn value(digit: u8) -> Option<u8> {
    DIGITS.iter().zip(0..).find(|(known, _)| **known == digit).map(|(_, value)| value)
}

/// Returns the remainder of the polynomial that BIP 173 defines, 1 for a text without an error.
fn checksum(values: &[u8]) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let high = PREFIX.bytes().map(|letter| letter >> 5);
    let low = PREFIX.bytes().map(|letter| letter & 31);
    high.chain([0]).chain(low).chain(values.iter().copied()).fold(1, |remainder, value| {
        let top = remainder >> 25;
        let shifted = (remainder & 0x01ff_ffff) << 5 ^ u32::from(value);
        let terms = GENERATOR.iter().zip(0..).filter(|(_, bit)| top >> bit & 1 == 1);
        terms.fold(shifted, |sum, (term, _)| sum ^ term)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::is_recipient;

    /// The key in the specification of age.
    const KEY: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn public_key_with_one_wrong_letter_is_found() {
        assert!(is_recipient(KEY));
        for index in "age1".len()..KEY.len() {
            for digit in ["q", "7"].iter().filter(|digit| !KEY[index..].starts_with(**digit)) {
                let wrong = format!("{}{digit}{}", &KEY[..index], &KEY[index + 1..]);
                assert!(!is_recipient(&wrong), "{wrong}");
            }
        }
    }

    #[test]
    fn other_texts_are_no_public_keys() {
        let secret = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
        for text in ["", "age1", "age1b", secret, &KEY.to_uppercase(), &format!("{KEY}q"), &KEY[..KEY.len() - 1]] {
            assert!(!is_recipient(text), "{text}");
        }
    }
}
