//! Copies of a data directory as directories, for `mai reset`. On its way out: the archive of a
//! backup replaces it.

mod create;
mod error;
mod manifest;
mod snapshot;
mod verify;

pub use create::{CheckedCopy, create_copy};
pub use error::BackupError;
pub use manifest::{DatabaseInfo, FileEntry, LinkEntry, Manifest, Subject};
pub use verify::verify;
