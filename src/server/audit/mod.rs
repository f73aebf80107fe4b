//! The audit log: who did what to accounts, keys and settings, when and from where. Never the
//! content of a chat, and no secret.
//!
//! * `event`: an [`Event`], its [`Action`] and the [`Actor`] behind it.
//! * `record`: writes an event in the transaction of what it tells, and keeps the log bounded.
//! * [`FailureLog`]: sums up failures, so that an attacker can neither fill the disk nor push out
//!   what others did.
//! * `configuration`: compares the settings of a start with those of the start before.
//! * [`AuditLog`]: reads the entries.
//!
//! Rooms that change something record it; pages and JSON routes read it.

mod configuration;
mod event;
mod failures;
mod log;
mod record;

pub(super) use configuration::record_changed_settings;
pub use event::{Action, Actor, Credential, Event};
pub use failures::{Failure, FailureLog};
pub use log::{AuditLog, Entry, PER_PAGE, Page, PageNumber, Person, Whose};
pub(super) use record::record;
