//! The client's users: their rows, and the rules of who may be added, changed and removed.
//!
//! Pages and JSON routes call these functions; each is given the database and what else it needs.
//! Registration, sign-in and sessions live in `auth`, which reads users through here.

mod create;
mod error;
mod find;
mod remove;
mod update;
mod user;

pub(super) use create::{InsertIf, create_declared_admin, insert};
pub use create::{NewUser, create};
pub use error::UserError;
pub use find::{PER_PAGE, Page, all, anybody, count, get, list};
pub(super) use find::{find, timestamp};
pub use remove::remove;
pub use update::{UserChange, set_locale, set_name, update};
pub use user::{LOCALES, Role, User, UserId};
