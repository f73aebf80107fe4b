//! A document of kind `Secret` (v1): `data` in base64, or `stringData` as it is. Its values never
//! leave `SecretString`.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The values of a Secret by key.
pub(crate) type Values = BTreeMap<String, SecretString>;

/// A `Secret` document, or why it cannot be used. The reason never quotes a value.
#[derive(Debug, Clone)]
pub(crate) struct SecretDocument {
    /// Namespace.
    pub namespace: String,
    /// Name; empty when it has none.
    pub name: String,
    /// Its values, or the field and what is wrong with it.
    pub values: Result<Values, (String, String)>,
}

impl SecretDocument {
    pub(super) fn new(document: &Value, namespace: String, name: Option<String>) -> Self {
        let values = match &name {
            Some(_) => values(document),
            None => Err(("metadata.name".to_owned(), "is missing; a Secret needs a name to be referred to".to_owned())),
        };
        Self { namespace, name: name.unwrap_or_default(), values }
    }
}

fn values(document: &Value) -> Result<Values, (String, String)> {
    let mut values = Values::new();
    for field in ["data", "stringData"] {
        let entries = match document.get(field) {
            None | Some(Value::Null) => continue,
            Some(Value::Object(entries)) => entries,
            Some(_) => return Err((field.to_owned(), "must be a mapping of keys to values".to_owned())),
        };
        for (key, value) in entries {
            let wrong = |what: &str| Err((format!("{field}.{key}"), what.to_owned()));
            let Value::String(text) = value else { return wrong("must be text (put it in quotes)") };
            let text = if field == "stringData" {
                text.clone()
            } else {
                match serde_json::from_value::<ByteString>(value.clone()).map(|bytes| String::from_utf8(bytes.0)) {
                    Ok(Ok(text)) => text,
                    Ok(Err(_)) => return wrong("does not hold UTF-8 text"),
                    Err(_) => return wrong("is not base64; encode it, or write it under stringData as it is"),
                }
            };
            values.insert(key.clone(), SecretString::from(text));
        }
    }
    if values.is_empty() {
        return Err((String::new(), "holds no value; add stringData with a key and its value".to_owned()));
    }
    Ok(values)
}

/// Returns whether two Secrets have the same values.
pub(crate) fn same(a: &Values, b: &Values) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|((key, value), (other_key, other))| {
            key == other_key && value.expose_secret() == other.expose_secret()
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_and_string_data_are_read_and_never_quoted() {
        let read = |document: Value| SecretDocument::new(&document, "default".to_owned(), Some("s".to_owned())).values;
        let found = read(json!({"data": {"a": "c2VzYW1l"}, "stringData": {"b": "open"}})).unwrap();
        assert_eq!((found["a"].expose_secret(), found["b"].expose_secret()), ("sesame", "open"));
        for (document, field) in [
            (json!({"data": {"a": "not base64!"}}), "data.a"),
            (json!({"data": {"a": "/w=="}}), "data.a"),
            (json!({"stringData": {"a": 5}}), "stringData.a"),
            (json!({"stringData": ["sesame"]}), "stringData"),
            (json!({}), ""),
        ] {
            let (at, message) = read(document).unwrap_err();
            assert_eq!(at, field);
            assert!(!message.contains("sesame") && !message.contains("not base64!"), "{message}");
        }
        assert!(!format!("{found:?}").contains("sesame"));
    }
}
