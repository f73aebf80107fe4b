//! The client's users: the rules of who may be registered, added, changed and removed.
//!
//! Pages and JSON routes call these functions; each is given the database and what else it needs.
//! The plain types are in `crate::user`. Sessions and credentials live in `auth`, which does not
//! know this room: a change that ends access goes from here to there.

mod create;
mod error;
mod find;
mod invitations;
mod link;
mod password_links;
mod people_list;
mod register;
mod remove;
mod update;
mod validate;

pub(super) use create::create_declared_admin;
pub use create::{NewUser, create};
pub use error::UserError;
pub use find::{PER_PAGE, Page, all, anybody, count, get, list};
pub use invitations::{
    Invitation, InviteMode, Invited, Invitee, accept, count_invited, invitations, invite, invitee, renew, withdraw,
};
pub use link::LinkError;
pub use password_links::{make_password_link, password_link_owner, reset_password};
pub use people_list::{LineProblem, ListLine, ListProblem, MOST_LINES, parse_list};
pub use register::register;
pub use remove::remove;
pub use update::{PasswordReset, UserChange, set_locale, set_name, update};
pub(super) use validate::email as checked_email;

pub use super::user::{InvalidRole, LOCALES, Role, User, UserId};
