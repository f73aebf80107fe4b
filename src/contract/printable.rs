//! Text of others, such as the message of an upstream or the name of a file, as it may be shown in
//! a log or on a terminal.

use std::fmt::{self, Write};

/// Returns true for a character that does something else than to show itself: control characters,
/// line and paragraph separators, controls of the direction of writing, and invisible tags. Joiners
/// stay, since letters and emoji need them.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Writes text with unprintable characters as JSON writes them (`\n`, `\u001b`), but for those in
/// `kept`. JSON stays the same JSON by it.
pub fn write_printable(out: &mut impl Write, text: &str, kept: &[char]) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|character| is_unprintable(character) && !kept.contains(&character)) {
        let (before, after) = rest.split_at(at);
        out.write_str(before)?;
        let mut characters = after.chars();
        if let Some(character) = characters.next() {
            write_escaped(out, character)?;
        }
        rest = characters.as_str();
    }
    out.write_str(rest)
}

fn write_escaped(out: &mut impl Write, character: char) -> fmt::Result {
    match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        _ => {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printable(text: &str, kept: &[char]) -> String {
        let mut out = String::new();
        assert!(write_printable(&mut out, text, kept).is_ok());
        out
    }

    #[test]
    fn text_of_others_is_made_printable() {
        for (text, expected) in [
            ("", ""),
            ("Zażółć gęślą jaźń, 日本語, שלום", "Zażółć gęślą jaźń, 日本語, שלום"),
            ("\u{1f469}\u{200d}\u{1f4bb} \u{a0}\\ \"", "\u{1f469}\u{200d}\u{1f4bb} \u{a0}\\ \""),
            ("one\nERROR two\r\n\tthree", "one\\nERROR two\\r\\n\\tthree"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}\u{8}", "\\u001b[2J\\u001b]0;title\\u0007\\u0008"),
            ("\u{9b}31m\u{7f}\u{0}", "\\u009b31m\\u007f\\u0000"),
            ("exe.\u{202e}fdp", "exe.\\u202efdp"),
            ("a\u{2066}b\u{2069}\u{200f}\u{61c}", "a\\u2066b\\u2069\\u200f\\u061c"),
            ("\u{2028}\u{2029}\u{feff}", "\\u2028\\u2029\\ufeff"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(printable(text, &[]), expected, "{text:?}");
        }
        assert_eq!(printable("a\n\tb\r", &['\n', '\t']), "a\n\tb\\r");
    }

    #[test]
    fn json_stays_the_same_json() {
        for text in ["\u{202e}x", "\u{e0041}\u{7f}", "a\u{9b}b"] {
            let quoted = format!("\"{text}\"");
            assert_eq!(serde_json::from_str::<String>(&printable(&quoted, &[])).ok().as_deref(), Some(text));
        }
    }
}
