//! Copies of an instance's data that can be relied on: taken consistently, written with a manifest, read back and checked.
//!
//! A copy is a directory among the backups of the instance: `manifest.json` and `data/`, which holds the data directory as it was.
//! While it is not whole it bears another name. Nothing here knows what a copy is taken for, or stops a server.

mod error;
mod manifest;
mod snapshot;
mod take;
mod verify;

pub use error::BackupError;
pub use manifest::{DatabaseFacts, FileEntry, LinkEntry, Manifest, Subject};
pub use take::{Taken, take};
pub use verify::verify;
