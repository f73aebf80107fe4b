//! Verified copies of an instance's data: consistent, with a manifest, read back and checked.
//!
//! A copy is a directory among the backups of the instance: `manifest.json` and `data/`, which
//! holds the data directory as it was. An unfinished copy has another name. Nothing here knows the
//! purpose of a copy, or stops a server.

mod create;
mod error;
mod manifest;
mod snapshot;
mod verify;

pub use create::{CheckedCopy, create_copy};
pub use error::BackupError;
pub use manifest::{DatabaseInfo, FileEntry, LinkEntry, Manifest, Subject};
pub use verify::verify;
