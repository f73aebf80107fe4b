//! Authentication and authorisation: passwords, sessions, API keys, and the extractors that require
//! them.
//!
//! Permissions: a handler takes one of the extractors of `access`, such as [`ChatAccess`],
//! [`Person`] or [`Admin`]; a request that lacks it never reaches the handler. A session may be used
//! for everything that its person may do, an API key for its [`Scopes`], and never to change a
//! credential. What changes one asks for the password again ([`Confirmations`]). The credential is
//! looked up in [`Sessions`]. Users are added, changed and removed by `users`, which knows this room; this one
//! does not know it.

mod access;
mod api_keys;
mod attempts;
mod change_password;
mod confirmation;
mod cookie;
mod device;
mod error;
mod extractor;
mod passwords;
mod reconciler;
mod scope;
mod session_cache;
mod sessions;
mod sign_in;
mod throttle;
mod token;

pub use access::{Admin, AdminPerson, ChatAccess, Person, ReportAccess, UsageAccess};
pub(super) use api_keys::revoke_keys_of;
pub use api_keys::{ApiKey, ApiKeyWish, NewApiKey, create_api_key, list_api_keys, remove_api_key};
pub use attempts::Attempts;
pub use change_password::change_password;
pub use confirmation::{Confirmations, Confirmed};
pub(crate) use cookie::INSTANCE_ID;
pub use cookie::{Cookies, RequestCookies, SetCookies};
pub use error::AuthError;
pub use extractor::{Credential, CurrentUser, KeyGrant};
pub(super) use extractor::{HeaderCredential, header_credential};
pub(super) use passwords::{BUSY_SECONDS, is_checkable};
pub use passwords::{HashError, HasherBusy, PasswordHasher, WeakPassword};
pub use reconciler::{ReconcilerAccess, ReconcilerToken};
pub use scope::{InvalidScope, Scope, Scopes};
pub(super) use sessions::end_sessions_of;
pub use sessions::{SESSION_LIFETIME, Sessions};
pub use sign_in::{SignedIn, sign_in, start_session};
pub use throttle::Throttle;
pub use token::{Token, TokenHash};
