//! The end of a whole server: a backup of what its clients' backups do not have, and the way back on
//! an empty machine.
//!
//! `server_backup` makes it: `contents` collects the documents of the directory and what the state
//! database holds (`server_state`), and `src/backup` does the rest, as for a client. The other way,
//! `survey` reads which backups a destination has, `found` decides which come back, and `run`
//! brings them, one client after the other, with a `record` of how far it came; `documents` are last,
//! so that nothing is started before. `kit` is the page that says all this to a person. Nothing here prints or asks.

mod archived_secrets;
mod atomic_file;
mod client;
mod contents;
mod documents;
mod error;
mod found;
mod kit;
mod location;
mod record;
mod run;
mod scratch;
mod server_archive;
mod server_backup;
mod server_identity;
mod server_state;
mod survey;

pub use client::{BackupPreview, ClientPreview};
pub use error::RecoveryError;
pub use found::{Found, Search};
pub use kit::RecoveryKit;
pub use location::{Address, Location};
pub use record::require_no_recovery;
pub use run::{ClientEnd, Recovery, RestoredClient, Target};
pub use server_backup::{Newest, Notice, ServerBackup, ServerBackupRecord};
