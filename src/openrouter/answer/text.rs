//! Text of an answer from JSON strings that may hold halves of characters.

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The bytes of a JSON string. A lone surrogate, which strict readers refuse, is three bytes as in
/// WTF-8.
pub(super) struct JsonText(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = JsonText;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<JsonText, E> {
                Ok(JsonText(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Puts text together whose pieces were cut between the two halves of a character.
#[derive(Debug, Default)]
pub(super) struct TextJoiner {
    /// The first half of a character at the end of the last piece.
    pending: Option<u32>,
}

impl TextJoiner {
    /// Appends a piece to `text`. A half whose other half never comes is replaced by U+FFFD.
    pub(super) fn push(&mut self, piece: &[u8], text: &mut String) {
        if self.pending.is_none()
            && let Ok(piece) = std::str::from_utf8(piece)
        {
            return text.push_str(piece);
        }
        let mut rest = piece;
        while !rest.is_empty() {
            if let [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, after @ ..] = rest {
                let half = 0xd000 | u32::from(second & 0x3f) << 6 | u32::from(third & 0x3f);
                self.push_half(half, text);
                rest = after;
            } else {
                let is_half = |pair: &[u8]| pair[0] == 0xed && pair[1] >= 0xa0;
                let end = rest.windows(2).skip(1).position(is_half).map_or(rest.len(), |at| at + 1);
                self.finish(text);
                text.push_str(&String::from_utf8_lossy(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }

    /// Ends the text.
    pub(super) fn finish(&mut self, text: &mut String) {
        if self.pending.take().is_some() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }

    fn push_half(&mut self, half: u32, text: &mut String) {
        match (self.pending.take(), half) {
            (Some(first), 0xdc00..) => {
                let character = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (half - 0xdc00));
                text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (former, ..0xdc00) => {
                if former.is_some() {
                    text.push(char::REPLACEMENT_CHARACTER);
                }
                self.pending = Some(half);
            }
            (None, _) => text.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_joined_or_replaced() {
        for (pieces, expected) in [
            (&[r#""Zażółć""#, r#"" gęś""#][..], "Zażółć gęś"),
            (&[r#""a \ud83d\ude00 b""#], "a 😀 b"),
            (&[r#""a \ud83d""#, r#""\ude00 b""#], "a 😀 b"),
            (&[r#""a \ud83d""#, r#""""#, r#""\ude00""#], "a 😀"),
            (&[r#""a \ud83d""#, r#""b""#], "a \u{fffd}b"),
            (&[r#""\ude00 b\ud83d""#], "\u{fffd} b\u{fffd}"),
            (&[r#""\ud83d\ud83d\ude00""#], "\u{fffd}😀"),
            (&[r#""한\ud83d한""#], "한\u{fffd}한"),
        ] {
            let (mut joiner, mut text) = (TextJoiner::default(), String::new());
            for piece in pieces {
                joiner.push(&serde_json::from_str::<JsonText>(piece).unwrap().0, &mut text);
            }
            joiner.finish(&mut text);
            assert_eq!(text, expected, "{pieces:?}");
        }
    }
}
