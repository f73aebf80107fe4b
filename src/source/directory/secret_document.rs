//! A document of kind `Secret` (v1): `data` in base64, or `stringData` as it is. Its values never
//! leave `SecretString`.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::encryption::Encryption;
use crate::source::policy::READERS;

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
    /// It is still encrypted, so another document of its name may hold the values.
    pub encrypted: bool,
    /// Its annotation [`READERS`]; names nobody where that is not text.
    pub readers: Option<String>,
}

impl SecretDocument {
    pub(super) fn new(document: &Value, namespace: String, name: Option<String>) -> Self {
        let encryption = encrypted_field(document);
        let values = match (&name, &encryption) {
            (None, _) => {
                Err(("metadata.name".to_owned(), "is missing; a Secret needs a name to be referred to".to_owned()))
            }
            (_, Some((field, encryption))) => Err((field.clone(), encryption.message())),
            (_, None) => values(document),
        };
        let readers = document["metadata"]["annotations"].get(READERS);
        let readers = readers.map(|readers| readers.as_str().unwrap_or_default().to_owned());
        Self { namespace, name: name.unwrap_or_default(), values, encrypted: encryption.is_some(), readers }
    }

    /// A Secret that only a cluster can make of another document.
    pub(super) fn encrypted(namespace: String, name: String, encryption: Encryption) -> Self {
        Self { namespace, name, values: Err((String::new(), encryption.message())), encrypted: true, readers: None }
    }
}

/// Returns the first field that is still encrypted; none in particular where the whole document is.
fn encrypted_field(document: &Value) -> Option<(String, Encryption)> {
    let of_field = |field: &str| {
        document[field].as_object()?.iter().find_map(|(key, value)| {
            let text = value.as_str()?;
            let decoded = (field == "data").then(|| serde_json::from_value::<ByteString>(value.clone()).ok()).flatten();
            let encryption = Encryption::of_bytes(text.as_bytes())
                .or_else(|| decoded.and_then(|bytes| Encryption::of_bytes(&bytes.0)))?;
            Some((format!("{field}.{key}"), encryption))
        })
    };
    of_field("stringData")
        .or_else(|| of_field("data"))
        .or_else(|| Some((String::new(), Encryption::of_document(document)?)))
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
