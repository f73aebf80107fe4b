//! The files that a restore of a cluster may bring back.

use mai_contract::job::BACKUPS_VOLUME;

use super::{Author, Policy};
use crate::api::RestoreSource;

/// Returns whether a file below a destination is one of an instance for which `is_sibling` holds:
/// `NAMESPACE/NAME/…`.
pub(super) fn is_own_file(namespace: &str, file: &str, is_sibling: impl Fn(&str) -> bool) -> bool {
    let mut parts = file.splitn(3, '/');
    parts.next() == Some(namespace) && parts.next().is_some_and(is_sibling) && parts.next().is_some()
}

impl Policy {
    /// Returns why instances of a namespace may not be restored from a backup, if they may not.
    pub(crate) fn refuses_restore(&self, namespace: &str, from: &RestoreSource) -> Option<String> {
        let author = Author::Namespace(namespace);
        let file = from.file.as_ref()?;
        // What is in its own volume is of nobody else.
        let is_own = from.destination == BACKUPS_VOLUME || is_own_file(namespace, file, |_| true);
        if is_own || self.grants(author, |lists| &lists.restores, file) {
            return None;
        }
        Some(self.refusal(author, "from.file", &format!("file {file}"), "restores", file).finding.message)
    }
}
