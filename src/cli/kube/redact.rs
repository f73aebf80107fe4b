//! Removes secrets from texts that are given to others: known values, and everything that looks
//! like one.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use regex::Regex;
use serde_json::Value;

/// Replacement of a secret.
const REPLACEMENT: &str = "[redacted]";
/// Length from which a value is searched; a shorter one would be found everywhere.
const SHORTEST: usize = 4;
/// Parts of the names of variables that are taken for secret.
const TELLING: [&str; 6] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// Patterns of secrets, and the replacement of each.
const PATTERNS: [(&str, &str); 6] = [
    // Keys of OpenRouter, OpenAI and their like.
    (r"\bsk-[A-Za-z0-9_-]{8,}", REPLACEMENT),
    // Values of an Authorization header.
    (r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}", "$1$2[redacted]"),
    // Signed tokens.
    (r"\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]*", REPLACEMENT),
    // Credentials in an address.
    (r"://[^/\s:@]+:[^/\s@]+@", "://[redacted]@"),
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)", REPLACEMENT),
    // password=…, "api_key": "…"
    (
        r#"(?i)((?:password|passwd|secret|token|api[-_]?key|session[-_]?key)\\?["']?\s*[=:]\s*\\?["']?)([^\s"'\\,;&}{\[\]]{4,})"#,
        "$1[redacted]",
    ),
];

/// Values and patterns that are removed.
pub(super) struct Redactor {
    known: Vec<String>,
    patterns: Vec<(Regex, &'static str)>,
}

impl Redactor {
    /// Returns a redactor for the values of these Secrets, and for the patterns.
    pub(super) fn new(secrets: &[Secret]) -> anyhow::Result<Self> {
        let mut known = BTreeSet::new();
        for value in secrets.iter().filter_map(|secret| secret.data.as_ref()).flat_map(|data| data.values()) {
            let text = String::from_utf8_lossy(&value.0);
            // As a whole, and by line: the file of a server contains NAME=VALUE.
            for part in [text.as_ref()].into_iter().chain(text.lines()) {
                known.insert(part.trim_end_matches(['\r', '\n']).to_owned());
                if let Some((_, value)) = part.split_once('=') {
                    known.insert(value.to_owned());
                }
            }
            if let Value::String(encoded) = serde_json::json!(value) {
                known.insert(encoded);
            }
        }
        let quoted: Vec<String> = known.iter().map(|value| Value::from(value.as_str()).to_string()).collect();
        known.extend(quoted.iter().map(|value| value.trim_matches('"').to_owned()));
        let mut known: Vec<String> = known.into_iter().filter(|value| value.trim().len() >= SHORTEST).collect();
        // A value that contains another goes first, or its rest would stay.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let patterns = PATTERNS.into_iter().map(|(pattern, instead)| Ok((Regex::new(pattern)?, instead)));
        Ok(Self { known, patterns: patterns.collect::<Result<_, regex::Error>>()? })
    }

    /// Returns a text without secrets.
    pub(super) fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for known in &self.known {
            if text.contains(known) {
                text = text.replace(known, REPLACEMENT);
            }
        }
        for (pattern, instead) in &self.patterns {
            text = pattern.replace_all(&text, *instead).into_owned();
        }
        text
    }

    /// Returns an object without secrets, and without the fields that only the API server needs.
    pub(super) fn object(&self, mut object: Value) -> Value {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                // It contains the whole document once more.
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        }
        self.value(&mut object);
        object
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                let tells = fields.get("name").and_then(Value::as_str).is_some_and(|name| {
                    let name = name.to_uppercase();
                    TELLING.iter().any(|word| name.contains(word))
                });
                if let (true, Some(value)) = (tells, fields.get_mut("value")) {
                    *value = Value::from(REPLACEMENT);
                }
                fields.values_mut().for_each(|field| self.value(field));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn redactor() -> Redactor {
        let secret = json!({
            "metadata": {"name": "a"},
            "data": {"key": "b3Blbi1zZXNhbWU=", "secrets.env": "QT1odW50ZXIyCkI9dHJ1c3RubzEK", "odd": "YSJiXGM="},
        });
        Redactor::new(&[serde_json::from_value(secret).unwrap()]).unwrap()
    }

    #[test]
    fn known_values_are_removed_in_every_encoding() {
        let redactor = redactor();
        for (text, expected) in [
            ("the key open-sesame was refused", "the key [redacted] was refused"),
            ("b3Blbi1zZXNhbWU=", "[redacted]"),
            ("hunter2 and trustno1", "[redacted] and [redacted]"),
            (r#"{"value":"a\"b\\c"}"#, r#"{"value":"[redacted]"}"#),
        ] {
            assert_eq!(redactor.text(text), expected);
        }
    }

    #[test]
    fn patterns_are_removed_and_nothing_else() {
        let redactor = redactor();
        for (text, expected) in [
            ("401 for sk-or-v1-0123456789abcdef.", "401 for [redacted]."),
            ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
            ("token eyJhbGciOi.eyJzdWIiOi.c2ln end", "token [redacted] end"),
            ("proxy http://me:s3cret@proxy:3128/", "proxy http://[redacted]@proxy:3128/"),
            ("password=hunter3&x=1", "password=[redacted]&x=1"),
            (r#"{"api_key": "abcd1234", "a": 1}"#, r#"{"api_key": "[redacted]", "a": 1}"#),
            (r#"{\"password\":\"abcd1234\"}"#, r#"{\"password\":\"[redacted]\"}"#),
            ("Secret openrouter has no key api-key; it has none", "Secret openrouter has no key api-key; it has none"),
            ("https://mai.example.com:8443/a", "https://mai.example.com:8443/a"),
            ("12 tokens, 3 s", "12 tokens, 3 s"),
        ] {
            assert_eq!(redactor.text(text), expected);
        }
    }

    #[test]
    fn secret_variable_loses_its_value_and_keeps_a_reference() {
        let env = json!({"env": [
            {"name": "MY_TOKEN", "value": "x"},
            {"name": "LOCALE", "value": "pl"},
            {"name": "A_KEY", "secretRef": {"name": "a", "key": "b"}},
        ]});
        let left = redactor().object(env);
        assert_eq!(left["env"][0]["value"], REPLACEMENT);
        assert_eq!(left["env"][1]["value"], "pl");
        assert_eq!(left["env"][2]["secretRef"], json!({"name": "a", "key": "b"}));
    }
}
