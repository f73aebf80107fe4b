//! The file that carries secret values into a container, so that they do not show when it is inspected.
//!
//! One `NAME=VALUE` a line; `\` and line ends inside a value are written `\\` and `\n`.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

/// Where the server finds it.
pub(super) const IN_CONTAINER: &str = "/run/mai/secrets.env";

/// What is written into it.
pub(super) fn content(values: &BTreeMap<&str, &SecretString>) -> SecretString {
    let mut content = String::new();
    for (name, value) in values {
        let value = value.expose_secret().replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
        content.push_str(&format!("{name}={value}\n"));
    }
    content.into()
}
