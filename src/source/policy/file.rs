//! The file of a policy: where it is, and what it says now.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Policy;
use crate::state::Problem;

/// Where a policy is looked for unless another file is named.
const DEFAULT: &str = "/etc/mai/policy.yaml";
/// A policy of a megabyte is a mistake.
const LARGEST: u64 = 1 << 20;

/// Failure to read a policy. Nothing is started without one.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum PolicyError {
    #[error("policy {file}:{line}:{column}: {}{message}", if .field.is_empty() { String::new() } else { format!("{field}: ") })]
    Invalid { file: String, line: u32, column: u32, field: String, message: String },
    #[error("policy {file} cannot be read: {source}; correct --policy, or make it readable for mai")]
    Unreadable { file: String, source: io::Error },
    #[error("policy {file} {problem}")]
    Untrusted { file: String, problem: String },
}

/// The file of a policy.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    path: PathBuf,
    /// Somebody named it, so it has to be there.
    is_named: bool,
    /// State directory of the instances.
    state_dir: Option<PathBuf>,
    /// Nothing is bounded, whatever it says.
    is_ignored: bool,
}

impl PolicyFile {
    /// Returns the file that was named, or the default one, which may be missing. `state_dir` is
    /// that of the instances, where there is one.
    pub fn new(named: Option<PathBuf>, state_dir: Option<PathBuf>) -> Self {
        let (path, is_named) = match named {
            Some(path) => (path, true),
            None => (PathBuf::from(DEFAULT), false),
        };
        Self { path, is_named, state_dir, is_ignored: false }
    }

    /// Returns a policy that allows everything, for what the provider reads and starts nothing from.
    pub fn unrestricted() -> Self {
        Self { is_ignored: true, ..Self::new(None, None) }
    }

    /// Reads it. Where the default file is missing, what is allowed without one counts.
    pub fn read(&self) -> Result<Policy, PolicyError> {
        if self.is_ignored {
            return Ok(Policy::unrestricted());
        }
        let shown = self.path.display().to_string();
        let unreadable = |source| PolicyError::Unreadable { file: shown.clone(), source };
        let policy = match self.path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_named => Policy::without_file(shown),
            Err(error) => return Err(unreadable(error)),
            Ok(metadata) => {
                if let Some(problem) = untrusted(&metadata) {
                    return Err(PolicyError::Untrusted { file: shown, problem });
                }
                let text = std::fs::read_to_string(&self.path).map_err(unreadable)?;
                Policy::parse(&shown, &text)?
            }
        };
        Ok(policy.with_state_dir(self.state_dir.as_deref()))
    }

    /// Fails if authors of documents could change the policy, since it stands among them.
    pub fn require_outside(&self, documents: &Path) -> Result<(), PolicyError> {
        let inside = match (self.path.canonicalize(), documents.canonicalize()) {
            (Ok(path), Ok(documents)) => path.starts_with(documents),
            _ => false,
        };
        if inside && !self.is_ignored {
            let problem = format!(
                "lies in the directory of documents {}, so their authors could change it; move it elsewhere, such as to {DEFAULT}",
                documents.display()
            );
            return Err(PolicyError::Untrusted { file: self.path.display().to_string(), problem });
        }
        Ok(())
    }
}

/// Returns why a file cannot be the provider's.
fn untrusted(metadata: &Metadata) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    if !metadata.is_file() {
        return Some("is not a regular file; name a file with --policy".to_owned());
    }
    if metadata.len() > LARGEST {
        return Some("is larger than 1 MiB; name the right file with --policy".to_owned());
    }
    if ![0, own].contains(&metadata.uid()) {
        return Some(format!(
            "belongs to user {}, who could change what documents may reach; give it to root (chown root) or to the user that runs mai",
            metadata.uid()
        ));
    }
    (metadata.mode() & 0o002 != 0).then(|| "may be written by everybody; run chmod o-w on it".to_owned())
}

/// A policy that follows its file.
#[derive(Debug)]
pub(crate) struct FollowedPolicy {
    file: PolicyFile,
    /// The directory of documents, in which it may not be.
    documents: PathBuf,
    stamp: Option<Stamp>,
    current: Arc<Policy>,
    /// The problem of the file, while the policy before it stays in force.
    problem: Option<Problem>,
}

/// Metadata that changes with a file.
type Stamp = (u64, u64, u64, i64, i64, u32);

impl FollowedPolicy {
    /// Reads the policy of a directory of documents for the first time.
    pub(crate) fn open(file: PolicyFile, documents: &Path) -> Result<Self, PolicyError> {
        let stamp = stamp(&file.path);
        file.require_outside(documents)?;
        let current = Arc::new(file.read()?);
        Ok(Self { file, documents: documents.to_owned(), stamp, current, problem: None })
    }

    /// Returns the policy in force.
    pub(crate) fn current(&self) -> &Arc<Policy> {
        &self.current
    }

    /// Returns what is wrong with the file, if the policy in force is not what it says.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    /// Reads the file again if it changed; returns whether policy or problem are others.
    pub(crate) fn refresh(&mut self) -> bool {
        let stamp = stamp(&self.file.path);
        if stamp == self.stamp || self.file.is_ignored {
            return false;
        }
        // A file that vanishes is as broken as one that cannot be read: an editor may just replace it.
        let read = match stamp {
            None => Err(PolicyError::Untrusted {
                file: self.file.path.display().to_string(),
                problem: "is gone; put it back, or start mai again to do without it".to_owned(),
            }),
            Some(_) => self.file.require_outside(&self.documents).and_then(|()| self.file.read()),
        };
        self.stamp = stamp;
        match read {
            Ok(policy) => {
                tracing::info!("the policy {} is in force", self.file.path.display());
                (self.current, self.problem) = (Arc::new(policy), None);
            }
            Err(error) => self.problem = Some(self.problem_of(&error)),
        }
        true
    }

    fn problem_of(&self, error: &PolicyError) -> Problem {
        let mut problem = Problem {
            file: self.file.path.display().to_string(),
            line: 0,
            column: 0,
            document: None,
            instance: None,
            field: String::new(),
            message: String::new(),
            refused: false,
        };
        let message = match error {
            PolicyError::Invalid { line, column, field, message, .. } => {
                (problem.line, problem.column) = (*line, *column);
                problem.field.clone_from(field);
                message.clone()
            }
            PolicyError::Unreadable { source, .. } => format!("cannot be read: {source}"),
            PolicyError::Untrusted { problem, .. } => problem.clone(),
        };
        problem.message = format!("{message}; the policy as it was before stays in force");
        problem
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = path.metadata().ok()?;
    Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec(), found.mode()))
}
