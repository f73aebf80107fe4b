//! Why a runtime could not do what it was asked, by what the caller does next.

use std::io;

use crate::api::Reason;

/// Failure of a runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The engine or API server did not answer, or failed by itself. The same call may succeed
    /// later.
    #[error("{action} of {instance} failed: {message}")]
    Unreachable {
        /// The call, as a noun.
        action: &'static str,
        /// The instance.
        instance: String,
        /// The cause, in its own words.
        message: String,
        /// The client's error.
        source: Option<BoxError>,
    },
    /// The engine or API server understood the call and refused it. It stays refused until
    /// something else changes.
    #[error("{action} of {instance} failed: {message}")]
    Refused {
        /// The call, as a noun.
        action: &'static str,
        /// The instance.
        instance: String,
        /// The cause, in its own words.
        message: String,
        /// The client's error.
        source: Option<BoxError>,
    },
    /// A prerequisite is missing: the image.
    #[error(
        "image {image} of {instance} could not be pulled: {message}; build or pull it on this server, or correct spec.image"
    )]
    ImageUnavailable {
        /// The instance.
        instance: String,
        /// The image.
        image: String,
        /// The engine's words.
        message: String,
    },
    /// There is no data for a job to work on.
    #[error("there is no data of {instance}: {place} does not exist; it is made when the server first starts")]
    NoData {
        /// The instance.
        instance: String,
        /// The place that does not exist.
        place: String,
    },
    /// The declared field is not possible on this runtime.
    #[error("{0}")]
    Unsupported(String),
    /// Conflict: something of that name exists and belongs to somebody else.
    #[error("{what} exists and does not belong to {instance}; rename or remove it, or rename the instance")]
    NameTaken {
        /// The instance.
        instance: String,
        /// The thing, such as "container mai-abc".
        what: String,
    },
    /// Conflict: another program listens on the declared port.
    #[error("port {port} of {instance} is taken by {holder}; stop that program or declare another expose.port")]
    PortTaken {
        /// The instance.
        instance: String,
        /// The port.
        port: u16,
        /// The listener, as far as it is known.
        holder: String,
    },
    /// I/O: a directory of the instance cannot be written.
    #[error(
        "{path} of {instance} cannot be written ({source}); {}, or set spec.storage to another place",
        remedy(source)
    )]
    NotWritable {
        /// The instance.
        instance: String,
        /// The directory.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// I/O: anything else that the system refused.
    #[error("{action} of {instance} failed: {source}")]
    Io {
        /// The operation, as a noun: "start", "stop".
        action: &'static str,
        /// The instance.
        instance: String,
        /// The system's error.
        source: io::Error,
    },
}

/// An error of a client library.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl RuntimeError {
    /// Returns the reason of the condition that shows it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unreachable { .. } | Self::Refused { .. } | Self::NoData { .. } | Self::Io { .. } => {
                Reason::ApplyFailed
            }
            Self::ImageUnavailable { .. } => Reason::ImageUnavailable,
            Self::Unsupported(_) => Reason::UnsupportedByRuntime,
            Self::NameTaken { .. } => Reason::NameTaken,
            Self::PortTaken { .. } => Reason::PortTaken,
            Self::NotWritable { .. } => Reason::DataNotWritable,
        }
    }
}

fn remedy(refused: &io::Error) -> &'static str {
    match refused.kind() {
        // Usually not the disk, but what systemd lets a unit see of it.
        io::ErrorKind::ReadOnlyFilesystem => "name it in ReadWritePaths of mai.service, if systemd runs mai",
        _ => "make it writable for the user that runs mai",
    }
}
