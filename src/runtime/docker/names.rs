//! Names of the containers and volumes of an instance.
//!
//! Names of instances contain neither dots nor underscores, so no two instances share one of these
//! names.

use crate::core::{InstanceId, kept_name};
use crate::runtime::RuntimeError;

/// The network that all instances share.
pub(super) const SHARED_NETWORK: &str = "mai";

/// The names of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// Name of the directory of its files.
    pub(super) key: String,
    /// The container that serves.
    pub(super) active: String,
    /// The container that is about to replace it.
    pub(super) next: String,
    /// The replaced container, retained until the new one is ready.
    pub(super) retained: String,
    /// The container of a job on its data.
    pub(super) job: String,
    /// The volume of the data.
    pub(super) data: String,
    /// The volume of the backups.
    pub(super) backups: String,
}

impl Names {
    pub(super) fn new(id: &InstanceId) -> Result<Self, RuntimeError> {
        let plain = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if !plain(&id.name) || !plain(&id.namespace) {
            return Err(RuntimeError::Unsupported(format!(
                "{:?} in namespace {:?} cannot name a container; use letters, digits and '-' alone",
                id.name, id.namespace
            )));
        }
        let key = kept_name(&id.namespace, &id.name);
        let active = format!("mai-{key}");
        Ok(Self {
            next: format!("{active}.next"),
            retained: format!("{active}.former"),
            job: format!("{active}.job"),
            data: format!("{active}-data"),
            backups: format!("{active}-backups"),
            active,
            key,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_stay_in_their_directory() {
        let id = |namespace: &str, name: &str| InstanceId {
            namespace: namespace.into(),
            name: name.into(),
            uid: "1".into(),
        };
        let mut seen = BTreeSet::new();
        for (namespace, name) in [
            ("default", "abc"),
            ("default", "abc-next"),
            ("default", "abc-former"),
            ("default", "abc-job"),
            ("default", "abc-data"),
            ("team", "abc"),
            ("default", "team-abc"),
        ] {
            let names = Names::new(&id(namespace, name)).unwrap();
            for name in [names.active, names.next, names.retained, names.job] {
                assert!(seen.insert(name.clone()), "{name} names two containers");
            }
        }
        for name in ["", "..", "a/b", "a_b", "a.b", "-a"] {
            assert!(Names::new(&id("default", name)).is_err(), "{name:?}");
        }
    }
}
