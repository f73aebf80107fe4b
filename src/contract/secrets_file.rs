//! Secret settings of a server in a mounted file, so that they do not show where a container is
//! inspected.
//!
//! One `NAME=VALUE` a line, the names being those of [`crate::environment`]; `\`, line feed and
//! carriage return inside a value are written `\\`, `\n` and `\r`. A variable or flag of the same
//! name wins.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

/// Encodes values as the content of such a file.
pub fn encode(values: &BTreeMap<&str, &SecretString>) -> SecretString {
    let mut content = String::new();
    for (name, value) in values {
        let value = value.expose_secret().replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        content.push_str(&format!("{name}={value}\n"));
    }
    content.into()
}

/// Decodes the content of such a file. A line without `=` is left out.
pub fn decode(content: &str) -> BTreeMap<String, String> {
    content
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), unescape(value)))
        .collect()
}

fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('r')) => text.push('\r'),
            ('\\', Some(other)) => text.push(other),
            (other, _) => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_special_characters_survive_the_round_trip() {
        let values = ["", "plain", "a=b", " padded ", "a\\b", "a\nb", "a\r\nb", "\\n", "ends in \\", "ąę\t\u{7f}"];
        let names: Vec<String> = (0..values.len()).map(|index| format!("NAME_{index}")).collect();
        let secrets: Vec<SecretString> = values.iter().map(|value| SecretString::from(*value)).collect();
        let encoded = encode(&names.iter().map(String::as_str).zip(&secrets).collect());
        let decoded = decode(encoded.expose_secret());
        assert_eq!(encoded.expose_secret().lines().count(), values.len());
        for (name, value) in names.iter().zip(values) {
            assert_eq!(decoded[name], value);
        }
    }
}
