//! A directory of YAML files as a watch stream.
//!
//! `scan` reads the tree, `parse` turns text into documents that know where their fields stand,
//! `encryption` recognises those that are still encrypted,
//! `scan_plan` decides what they mean for the instances that are known, as far as the provider's
//! policy allows it (`provider`), `watch` follows the tree
//! (after `file_events` and by polling) and feeds the stream, `secrets` keeps the values.
//! `validation` judges documents for `mai validate`, by the same rules; `preview` says for `mai
//! plan` what would become of the instances. `files` gives the files as they are, to a backup.

mod encryption;
mod file_events;
mod files;
mod line_map;
mod object;
mod parse;
mod preview;
mod provider;
mod scan;
mod scan_plan;
mod secret_document;
mod secrets;
mod split;
mod validation;
mod watch;

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use secrecy::SecretString;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{UnboundedReceiverStream, WatchStream};

use crate::api::{PlatformKind, SecretRef};
use crate::source::policy::{FollowedPolicy, PolicyFile};
use crate::source::{Documents, Reader, Rotated, SecretError, Source, SourceError};
use crate::state::{Problem, State};

pub use files::{Part, SourceFile, read_files};
pub(crate) use line_map::{LineMap, Place};
pub use preview::{Preview, Previewed};
pub(crate) use scan::read;
pub(crate) use split::split;
pub(crate) use validation::{Judged, Severity, Verdict, judge};

use scan::Root;
use secrets::Secrets;
use watch::{Follower, Release};

/// A directory of YAML files that is followed.
#[derive(Debug)]
pub struct Directory {
    secrets: Secrets,
    problems: tokio::sync::watch::Receiver<Vec<Problem>>,
    releases: mpsc::UnboundedSender<Release>,
}

impl Directory {
    /// Reads the directory and follows it until the stream is dropped. It may be empty, or missing
    /// for a while when instances are known from before: that removes nothing. Documents with
    /// fields that have no effect on `platform`, or that the policy refuses, are not accepted.
    pub async fn open(
        path: &Path,
        state: State,
        platform: PlatformKind,
        policy: PolicyFile,
    ) -> Result<(Self, Documents), SourceError> {
        let not_a_directory = || SourceError::NotADirectory(path.display().to_string());
        // Not canonical: a link that is pointed elsewhere later has to be followed.
        let root = std::path::absolute(path).map_err(|_| not_a_directory())?;
        let policy = FollowedPolicy::open(policy, &root)?;
        let secrets = Secrets::new(&root, Arc::clone(policy.current()));
        let (problem_sender, problems) = tokio::sync::watch::channel(Vec::new());
        let (output, events) = mpsc::unbounded_channel();
        let follower = Follower::start(root, platform, policy, state, secrets.clone(), problem_sender, output).await?;
        match follower.tree().root {
            Root::NotADirectory => return Err(not_a_directory()),
            Root::Missing if !follower.knows_any() => return Err(not_a_directory()),
            _ => {}
        }
        let (releases, release_receiver) = mpsc::unbounded_channel();
        tokio::spawn(follower.run(release_receiver));
        let documents = UnboundedReceiverStream::new(events).map(Ok).boxed();
        Ok((Self { secrets, problems, releases }, documents))
    }

    /// Returns the problems of the directory, now and whenever they change.
    pub fn problems(&self) -> tokio::sync::watch::Receiver<Vec<Problem>> {
        self.problems.clone()
    }
}

impl Source for Directory {
    async fn secret(&self, reader: &Reader<'_>, reference: &SecretRef) -> Result<SecretString, SecretError> {
        self.secrets.value(reader, reference)
    }

    fn secret_changes(&self) -> BoxStream<'static, Rotated> {
        WatchStream::from_changes(self.secrets.changes()).map(|_| Rotated::Any).boxed()
    }

    async fn remove_finalizer(&self, namespace: &str, name: &str) -> Result<(), SourceError> {
        let (done, outcome) = oneshot::channel();
        let key = (namespace.to_owned(), name.to_owned());
        self.releases.send(Release { key, done }).map_err(|_| SourceError::Ended)?;
        outcome.await.map_err(|_| SourceError::Ended)?.map_err(SourceError::State)
    }
}
