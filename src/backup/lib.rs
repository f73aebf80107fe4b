//! The program that makes, verifies and restores backups of an instance. It runs as a job next to
//! the server, whatever the server does meanwhile.
//!
//! A backup is three objects in each of its destinations:
//!
//! * `ID.tar.gz`, or `ID.tar.gz.age` where it is encrypted ([`archive`]): the data directory with
//!   its databases as snapshots, the document, the secrets, `SHA256SUMS` and the [`manifest`];
//! * `ID.json` ([`summary`]): written last, so that an archive without one is an interrupted run;
//! * `ID.verified.json`: written once the archive was read back from there and checked.
//!
//! `age`, `tar` and `sha256sum` restore it without this program. Data flows one way: [`snapshot`]
//! copies databases, [`tree`] lists the rest, [`archive`] streams both through compression and
//! encryption to all destinations at once; nothing is kept in memory but names.

mod archive;
mod archive_reader;
pub mod catalog;
mod contents;
mod create;
mod database_check;
pub mod drill;
pub mod encryption;
mod error;
mod exchange;
mod fan_out;
mod free_space;
mod instance_files;
mod lock;
pub mod manifest;
mod member_path;
mod members;
mod object_reader;
mod places;
mod prepare;
mod progress;
pub mod restore;
mod restore_directory;
mod restore_order;
pub mod retention;
mod run;
mod secret;
mod sidecars;
mod snapshot;
pub mod source;
mod staging;
pub mod store;
pub mod summary;
pub mod swap;
mod tree;
mod unpack;
mod verify;
mod work_limit;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use create::create;
pub use error::BackupError;
pub use exchange::discard_restore;
pub use free_space::check_free_space;
pub use instance_files::InstanceFiles;
pub use lock::lock_backups;
pub use member_path::MemberPath;
pub use places::Places;
pub use progress::Progress;
pub use run::{fit, run};
pub use secret::{SecretError, read_secret};
pub use store::{OpenStore, StoreError};
pub use unpack::Counts;
pub use verify::verify;

pub(crate) use secret::read_secret_file;
