//! Documents and secrets, from a directory or a cluster.
//!
//! A source gives a watch stream of `MaiInstance` documents, exactly as a cluster's watch would,
//! and the values of the secrets they refer to. An instance that is to go is first shown with a
//! deletion timestamp and [`crate::api::FINALIZER`]; it leaves the stream when its workload has
//! been removed ([`Source::remove_finalizer`]).

pub mod cluster;
pub mod directory;
pub mod policy;

use std::future::Future;

use futures::stream::BoxStream;
use kube::runtime::watcher;
use secrecy::SecretString;

use crate::api::{DOCUMENT_FILE, MaiInstance, Reason, RestoreSource, SecretRef};

/// The stream that a source gives.
pub type Documents = BoxStream<'static, Result<watcher::Event<MaiInstance>, watcher::Error>>;

/// A source of documents and secrets.
pub trait Source: Send + Sync + 'static {
    /// Returns the current value of a reference, if the instance may read it.
    fn secret(
        &self,
        reader: &Reader<'_>,
        reference: &SecretRef,
    ) -> impl Future<Output = Result<SecretString, SecretError>> + Send;

    /// Returns why an instance may not be restored from a backup, if it may not. What a document
    /// itself begins with is checked with the document.
    fn restore_refusal(&self, _reader: &Reader<'_>, _from: &RestoreSource) -> Option<String> {
        None
    }

    /// Emits whenever secrets may have changed; may be taken once.
    fn secret_changes(&self) -> BoxStream<'static, Rotated>;

    /// Adds the finalizer before anything is created for an instance, so that its document cannot
    /// go first.
    fn add_finalizer(
        &self,
        _namespace: &str,
        _name: &str,
        _uid: &str,
    ) -> impl Future<Output = Result<(), SourceError>> + Send {
        std::future::ready(Ok(()))
    }

    /// Removes the finalizer of a deleted instance whose workload is gone, so that its document can
    /// go.
    fn remove_finalizer(&self, namespace: &str, name: &str) -> impl Future<Output = Result<(), SourceError>> + Send;
}

/// The instance that reads a secret.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The file of its document, where it has one.
    pub file: Option<&'a str>,
}

impl<'a> From<&'a MaiInstance> for Reader<'a> {
    fn from(instance: &'a MaiInstance) -> Self {
        let metadata = &instance.metadata;
        Self {
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            name: metadata.name.as_deref().unwrap_or_default(),
            file: metadata.annotations.as_ref().and_then(|all| all.get(DOCUMENT_FILE)).map(String::as_str),
        }
    }
}

/// Secrets that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// Any.
    Any,
    /// The one of this namespace and name.
    One {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
}

/// Failure to read a secret. Never contains a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum SecretError {
    #[error(
        "Secret {name} is not there; add a document of kind Secret named {name}, for instance as secrets/{name}.yaml with mode 0600"
    )]
    Missing { name: String },
    #[error("Secret {name} is not there, unless it is in {file}, which is still encrypted; decrypt it first")]
    Encrypted { name: String, file: String },
    #[error("Secret {name} has no key {key}; it has {known}")]
    NoKey { name: String, key: String, known: String },
    #[error(
        "Secret {name} is not in namespace {namespace}; make it with `kubectl -n {namespace} create secret generic {name}`"
    )]
    NotInCluster { namespace: String, name: String },
    #[error("Secret {name} of namespace {namespace} could not be read: the API server says: {message}")]
    Unreadable { namespace: String, name: String, message: String },
    #[error("key {key} of Secret {name} is not text; a secret of an instance has to be")]
    NotText { name: String, key: String },
    #[error("a Secret of a cluster is named by name and key; env:{variable} is for documents in a directory alone")]
    VariableInCluster { variable: String },
    #[error("environment variable {variable} is not set for mai; set it and restart mai, or use a Secret")]
    NoVariable { variable: String },
    #[error("Secret {name} in {file} cannot be used: {problem}")]
    Unusable { name: String, file: String, problem: String },
    #[error("Secret {name} in {file} is not for this instance; {remedy}")]
    NotForReader { name: String, file: String, remedy: String },
    #[error("Secret {name} is in {files}, and none of them is nearer to this instance; rename all but one of them")]
    Ambiguous { name: String, files: String },
    #[error("{0}")]
    VariableRefused(String),
}

impl SecretError {
    /// Returns the reason of the condition that shows it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotForReader { .. } | Self::VariableRefused(_) => Reason::RefusedByPolicy,
            _ => Reason::MissingSecret,
        }
    }
}

/// Failure of a source.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum SourceError {
    #[error("{0} is not a directory; name the directory that holds the MaiInstance documents")]
    NotADirectory(String),
    #[error("the documents could not be read whole: {0}")]
    Incomplete(String),
    #[error("the directory is not followed any more: its stream was dropped")]
    Ended,
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    #[error(transparent)]
    Policy(#[from] policy::PolicyError),
    #[error("{action} of {instance}: the API server says: {message}")]
    Cluster { action: &'static str, instance: String, message: String, source: Box<kube::Error> },
}
