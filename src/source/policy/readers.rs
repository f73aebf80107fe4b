//! Who may read a Secret.

use super::pattern::matches_any;
use super::{Author, Policy, READERS};
use crate::core::is_named;

/// Folder of a directory that holds the Secrets of the folder above it.
const SECRETS: &str = "secrets";

/// Where a Secret stands, and who may read it by its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretPlace {
    /// Folder whose authors own it; empty in a cluster.
    pub scope: String,
    /// A link leads to it out of the directory. It belongs to somebody else, whatever it says.
    pub is_outside: bool,
    /// Value of [`READERS`].
    pub readers: Option<String>,
}

impl SecretPlace {
    /// Returns how a policy names the Secret `name` that stands there.
    fn address(&self, name: &str) -> String {
        match self.scope.as_str() {
            "" => name.to_owned(),
            scope => format!("{scope}/{name}"),
        }
    }
}

/// Why an instance may read a Secret. Where several have one name, the first of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readable {
    /// It belongs to the authors of the document.
    Own,
    /// The policy names it.
    Granted,
    /// It names the instance and belongs to a folder above.
    NamedAbove,
    /// It names the instance.
    Named,
}

/// Returns the folder whose authors own what is in `folder`: its Secrets may be in a folder
/// `secrets` of it.
pub(crate) fn scope(folder: &str) -> String {
    folder.split('/').take_while(|part| *part != SECRETS).collect::<Vec<_>>().join("/")
}

/// Returns whether a folder is another one or below it; all are below the directory itself.
pub(crate) fn is_within(folder: &str, outer: &str) -> bool {
    let below = folder.strip_prefix(outer);
    outer.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Policy {
    /// Returns why the instance `namespace`/`name` may read the Secret `secret`, if it may.
    pub(crate) fn reads(
        &self,
        author: Author<'_>,
        (namespace, name): (&str, &str),
        secret: &str,
        place: &SecretPlace,
    ) -> Option<Readable> {
        let own = match author {
            Author::Folder(folder) => !place.is_outside && place.scope == scope(folder),
            Author::Namespace(_) => true,
        };
        if self.is_unrestricted {
            return Some(if own { Readable::Own } else { Readable::Granted });
        }
        let readers = place.readers.as_deref().filter(|_| !place.is_outside);
        let named = readers.map(|readers| names(readers, author, namespace, name));
        if own && named.unwrap_or(!self.document.secrets_need_readers) {
            return Some(Readable::Own);
        }
        let address = place.address(secret);
        let lists = self.entries(author).map(|(_, lists)| lists).chain([&self.document.lists]);
        if lists.into_iter().any(|lists| matches_any(&lists.secrets, &address)) {
            return Some(Readable::Granted);
        }
        let is_above = match author {
            Author::Folder(folder) => is_within(folder, &place.scope),
            Author::Namespace(_) => false,
        };
        match named {
            Some(true) if is_above => Some(Readable::NamedAbove),
            Some(true) => Some(Readable::Named),
            _ => None,
        }
    }

    /// Returns the sentence that says how an instance comes to read a Secret.
    pub(crate) fn reader_remedy(&self, author: Author<'_>, name: &str, secret: &str, place: &SecretPlace) -> String {
        let granted = self.remedy(author, "secrets", &place.address(secret));
        if place.is_outside {
            return format!("a link leads to it out of the directory; {granted}");
        }
        let reader = match author {
            Author::Folder(folder) if !scope(folder).is_empty() => format!("{}/", scope(folder)),
            _ => name.to_owned(),
        };
        format!("add {reader} to its annotation {READERS}, or {granted}")
    }
}

/// Returns whether an annotation names a reader.
fn names(readers: &str, author: Author<'_>, namespace: &str, name: &str) -> bool {
    let mut entries = readers.split([',', ' ', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.any(|entry| match (entry.strip_suffix('/'), author) {
        (Some(granted), Author::Folder(folder)) => !granted.is_empty() && is_within(folder, granted),
        (Some(_), Author::Namespace(_)) => false,
        (None, _) => is_named(entry, namespace, name),
    })
}
