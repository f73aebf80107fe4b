//! The contract of the reconciler with a server image. Both programs depend on this crate and never
//! on each other, so any image that keeps it can run in an instance.
//!
//! * [`environment`]: names of the variables a server is configured by.
//! * [`http`]: the port, the probed paths and the header that names the version.
//! * [`files`]: where data, backups and secrets lie in a container, and whose they are.
//! * [`causes`]: the text of an error, as both report it.
//! * [`Counts`]: what a server tells its reconciler of the use that is made of it.
//! * [`BilledDays`]: what it tells it of the cost of each day.
//! * [`InternalToken`]: by which a server knows its reconciler.
//! * [`ExitCode`]: exit codes of a server, by cause.
//! * [`job`]: orders and reports of a program that works on the data next to a server.
//! * [`lock_file`]: the file that keeps a second process out of a directory.
//! * [`Network`]: addresses of proxies and upstreams; [`AddressKind`]: which of them are not public.
//! * [`restores`]: the directory in the data that restores work in.
//! * [`secrets_file`]: secret settings in a mounted file.
//! * [`statement`]: the bill of a closed month.

mod address_kind;
mod backup_id;
mod billed_days;
pub mod causes;
mod counts;
pub mod environment;
mod exit_code;
pub mod files;
pub mod http;
mod internal_token;
pub mod job;
mod job_report;
pub mod lock_file;
mod network;
mod printable;
pub mod restores;
pub mod secrets_file;
pub mod statement;

pub use address_kind::{AddressKind, translated};
pub use billed_days::{BilledDay, BilledDays};
pub use counts::{Counts, KeyCounts, KeyState, MonthCounts};
pub use exit_code::ExitCode;
pub use internal_token::InternalToken;
pub use lock_file::{LockError, LockFile};
pub use network::{InvalidNetwork, Network};
pub use printable::{is_unprintable, write_printable};
