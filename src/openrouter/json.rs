//! JSON of senders that do not keep to the format.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Reads JSON with a byte order mark before it, with bytes that are no UTF-8, or with halves of
/// characters, which are replaced by U+FFFD.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    from_str(&String::from_utf8_lossy(bytes))
}

/// As [`from_slice`] does.
pub(super) fn from_str<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|error| match without_lone_halves(text) {
        Cow::Owned(mended) => serde_json::from_str(&mended),
        Cow::Borrowed(_) => Err(error),
    })
}

/// Replaces each escape of half a character whose other half is not next to it.
fn without_lone_halves(json: &str) -> Cow<'_, str> {
    let half = |at: usize| {
        let digits = json.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..0xe000).contains(unit))
    };
    let mut mended = Cow::Borrowed("");
    let (mut copied, mut at) = (0, 0);
    while let Some(next) = json[at..].find('\\') {
        at += next;
        match (half(at), half(at + 6)) {
            (Some(..0xdc00), Some(0xdc00..)) => at += 12,
            (Some(_), _) => {
                mended.to_mut().push_str(&json[copied..at]);
                mended.to_mut().push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            // A backslash and what it escapes, which may be another backslash.
            (None, _) => at += 1 + json[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    if copied > 0 {
        mended.to_mut().push_str(&json[copied..]);
        return mended;
    }
    Cow::Borrowed(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_replaced() {
        for (json, expected) in [
            (r#""a 😀 b""#, Some("a 😀 b")),
            (r#""\ud83d\ude00""#, Some("😀")),
            (r#""a \ud83d""#, Some("a \u{fffd}")),
            (r#""\ude00\ud83d \ud83d\ude00""#, Some("\u{fffd}\u{fffd} 😀")),
            (r#""\\ud83d \ud83d""#, Some("\\ud83d \u{fffd}")),
            (r#""\\\ud83d""#, Some("\\\u{fffd}")),
            ("\u{feff}\"a\"", Some("a")),
            (r#""\ud8"#, None),
            ("\\", None),
        ] {
            assert_eq!(from_str::<String>(json).ok().as_deref(), expected, "{json}");
        }
        assert_eq!(from_slice::<String>(b"\"a\xff\"").ok().as_deref(), Some("a\u{fffd}"));
    }
}
