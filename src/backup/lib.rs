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

pub mod catalog;
pub mod directory_copy;

pub mod encryption;
mod error;
mod lock;
pub mod manifest;
mod member_path;
mod places;
mod progress;
pub mod retention;
mod secret;
pub mod store;
pub mod summary;

pub use directory_copy::{Subject, create_copy};
pub use error::BackupError;
pub use lock::lock_backups;
pub use member_path::MemberPath;
pub use places::Places;
pub use progress::Progress;
pub use secret::{SecretError, read_secret};
pub use store::StoreError;
