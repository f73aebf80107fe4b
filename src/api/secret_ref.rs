//! A reference to one value of a Secret.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// One value of a Secret: `{name: openrouter, key: api-key}`, or `{name: "env:VARIABLE"}` for an
/// environment variable of the reconciler where documents are read from a directory.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("has(self.key) ? !self.name.startsWith('env:') && self.key.matches('^[-._a-zA-Z0-9]+$') : self.name.startsWith('env:')")
        .message("a secret reference needs name and key (letters, digits, dashes, dots, underscores), or name: \"env:VARIABLE\" alone")
)]
pub struct SecretRef {
    /// Name of a Secret in the namespace of the instance, or `env:VARIABLE`.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^(env:[A-Za-z_][A-Za-z0-9_]*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$')").message("must be the name of a Secret (lower-case letters, digits, dashes, dots) or env:VARIABLE"))]
    #[schemars(length(max = 253))]
    pub name: String,

    /// Key inside the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub key: Option<String>,
}

impl SecretRef {
    /// Returns the environment variable it refers to, if it does.
    pub fn variable(&self) -> Option<&str> {
        self.name.strip_prefix("env:")
    }
}

impl std::fmt::Display for SecretRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{}/{key}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
