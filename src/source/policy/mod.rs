//! The provider's policy: what authors of documents may reach. It stands outside of the documents.
//!
//! `document` is the file as it is written, `file` finds, reads and follows it, `check` is a pure
//! function from policy and document to refusals, `paths` compares paths without symbolic links,
//! `claims` holds what other instances use, `exposure` the hosts and ports of them, `readers` says who may read a Secret, `restore` which
//! files may be restored, `defaults` what is allowed without a file. The same policy serves a directory and a cluster: what an author is
//! granted goes by the folder of a document there, and by its namespace here.

mod check;
mod claims;
mod defaults;
mod document;
mod exposure;
mod file;
mod paths;
mod pattern;
mod readers;
mod restore;

use std::path::{Path, PathBuf};

use crate::api::Finding;
use document::{Lists, PolicyDocument};
use pattern::matches_any;

pub(crate) use check::{Subject, collect_references};
pub(crate) use claims::Claims;
pub(crate) use file::FollowedPolicy;
pub use file::{PolicyError, PolicyFile};
pub(crate) use readers::{Readable, SecretPlace, is_within, scope};

use super::directory::LineMap;

/// Annotation of a Secret: the instances (`NAME`) and folders (`FOLDER/`) that may read it, divided
/// by commas.
pub(crate) const READERS: &str = "mai.dev/readers";

/// A policy that is in force.
#[derive(Debug)]
pub struct Policy {
    /// The file, as people name it.
    shown: String,
    document: PolicyDocument,
    /// Where its fields stand; absent where there is no file.
    lines: Option<LineMap>,
    /// The directory of documents is not bounded at all, for verbs of the provider that only read.
    is_unrestricted: bool,
    /// State directory of the instances, below which each has a place of its own.
    state_dir: Option<PathBuf>,
}

/// Something that a document may not reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The field, and the line of the policy that would allow it.
    pub finding: Finding,
    /// Another policy may well allow it, so it is an error only where there is a policy: it names
    /// something of the provider's, and nothing of the host or of other clients.
    pub is_ordinary: bool,
}

/// Whoever writes documents, as far as a policy tells authors apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author<'a> {
    /// Whoever may write this folder of the directory; empty for the directory itself.
    Folder(&'a str),
    /// Whoever may create objects in this namespace of a cluster.
    Namespace(&'a str),
}

impl Policy {
    /// Returns a policy that allows everything.
    pub(crate) fn unrestricted() -> Self {
        Self {
            shown: String::new(),
            document: PolicyDocument::default(),
            lines: None,
            is_unrestricted: true,
            state_dir: None,
        }
    }

    /// Returns what is allowed without a file, which would be `shown`.
    fn without_file(shown: String) -> Self {
        Self { shown, is_unrestricted: false, ..Self::unrestricted() }
    }

    /// Reads the text of a policy.
    fn parse(shown: &str, text: &str) -> Result<Self, PolicyError> {
        let (document, lines) = document::parse(shown, text)?;
        Ok(Self { document, lines: Some(lines), ..Self::without_file(shown.to_owned()) })
    }

    /// Sets the state directory of the instances.
    pub(crate) fn with_state_dir(mut self, state_dir: Option<&Path>) -> Self {
        self.state_dir = state_dir.map(Path::to_owned);
        self
    }

    /// Returns the entries of `authors` that are about this one, with their positions.
    fn entries<'a>(&'a self, author: Author<'a>) -> impl Iterator<Item = (usize, &'a Lists)> {
        let entries = self.document.authors.iter().enumerate();
        entries.filter(move |(_, entry)| entry.is_about(author)).map(|(index, entry)| (index, &entry.lists))
    }

    /// Returns whether one of the lists that count for an author has a pattern for this text.
    fn grants(&self, author: Author<'_>, list: impl Fn(&Lists) -> &[String], text: &str) -> bool {
        self.is_unrestricted
            || matches_any(list(&self.document.lists), text)
            || self.entries(author).any(|(_, lists)| matches_any(list(lists), text))
    }

    /// Returns the sentence that says how `field` comes to allow an entry.
    fn remedy(&self, author: Author<'_>, field: &str, entry: &str) -> String {
        let Self { shown, lines, .. } = self;
        let Some(lines) = lines else {
            return format!("write `{field}: [{entry:?}]` into the policy {shown}, which does not exist yet");
        };
        let path = match self.entries(author).next() {
            Some((index, _)) => format!("authors[{index}].{field}"),
            None => field.to_owned(),
        };
        format!("add `{entry}` to `{path}` in {shown}:{}", lines.place(&path).line)
    }

    /// Returns a refusal with its remedy.
    fn refusal(&self, author: Author<'_>, path: &str, what: &str, field: &str, entry: &str) -> Refusal {
        let message = format!("{what} is not allowed by the policy; {}", self.remedy(author, field, entry));
        Refusal { finding: Finding { path: path.to_owned(), message }, is_ordinary: false }
    }

    /// Returns whether the provider wrote it, so that it is not only what is allowed without one.
    pub(crate) fn is_written(&self) -> bool {
        self.lines.is_some()
    }

    /// Returns why an environment variable of mai may not be read, if it may not.
    pub(crate) fn refuses_variable(&self, author: Author<'_>, variable: &str) -> Option<String> {
        let is_granted = self.grants(author, |lists| &lists.env, variable);
        (!is_granted).then(|| {
            format!(
                "environment variable {variable} of mai is not allowed by the policy; {}",
                self.remedy(author, "env", variable)
            )
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
