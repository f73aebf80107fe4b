//! The identity of an instance.

use kube::ResourceExt as _;
use mai_contract::job::Subject;

use crate::api::MaiInstance;

/// Identity of an instance. The uid tells apart instances that had the same name one after the
/// other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId {
    /// Namespace; `default` where documents are files.
    pub namespace: String,
    /// Name of the `MaiInstance`.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl InstanceId {
    /// Returns the name used in logs.
    pub fn log_name(&self) -> String {
        log_name(&self.namespace, &self.name)
    }

    /// Returns whether another one, of an earlier or later document, has the same name.
    pub fn is_namesake(&self, other: &Self) -> bool {
        (&self.namespace, &self.name) == (&other.namespace, &other.name)
    }
}

impl From<&InstanceId> for Subject {
    fn from(id: &InstanceId) -> Self {
        Self { namespace: id.namespace.clone(), name: id.name.clone(), uid: id.uid.clone() }
    }
}

impl TryFrom<&MaiInstance> for InstanceId {
    /// The metadata field that is missing.
    type Error = &'static str;

    fn try_from(instance: &MaiInstance) -> Result<Self, Self::Error> {
        Ok(Self {
            namespace: instance.namespace().ok_or("namespace")?,
            name: instance.metadata.name.clone().ok_or("name")?,
            uid: instance.uid().ok_or("uid")?,
        })
    }
}

/// Returns the name of an instance in logs: with its namespace, unless that is `default`, as it is
/// of every document of a directory.
pub fn log_name(namespace: &str, name: &str) -> String {
    match namespace {
        "default" => name.to_owned(),
        _ => format!("{namespace}/{name}"),
    }
}

/// Returns the name under which an instance is kept on a server. Namespaces hold no underscore, so no
/// two instances share one.
pub fn kept_name(namespace: &str, name: &str) -> String {
    match namespace {
        "default" => name.to_owned(),
        _ => format!("{namespace}_{name}"),
    }
}

/// Returns whether a text names an instance: as NAME or NAMESPACE/NAME.
pub fn is_named(text: &str, namespace: &str, name: &str) -> bool {
    text == name || text.split_once('/') == Some((namespace, name))
}

impl std::fmt::Display for InstanceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}
