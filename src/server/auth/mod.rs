//! Authentication and authorisation: passwords, sessions, API keys, and the extractors that require
//! them.
//!
//! Permissions: a handler takes [`CurrentUser`] (session or API key), [`Person`] (session only) or
//! [`Admin`]; a request that lacks it never reaches the handler. The credential is looked up in
//! [`Sessions`]. Users are added, changed and removed by `users`, which knows this room; this one
//! does not know it.

mod api_keys;
mod attempts;
mod change_password;
mod cookie;
mod device;
mod error;
mod extractor;
mod passwords;
mod session_cache;
mod sessions;
mod sign_in;
mod throttle;
mod token;

pub use api_keys::{ApiKey, NewApiKey, create_api_key, list_api_keys, remove_api_key};
pub use attempts::Attempts;
pub use change_password::change_password;
pub(crate) use cookie::INSTANCE_ID;
pub use cookie::{Cookies, RequestCookies, SetCookies};
pub use error::AuthError;
pub use extractor::{Admin, Credential, CurrentUser, Person};
pub(super) use extractor::{HeaderCredential, header_credential};
pub(super) use passwords::BUSY_SECONDS;
pub use passwords::{HashError, HasherBusy, PasswordHasher, WeakPassword};
pub(super) use sessions::end_sessions_of;
pub use sessions::{SESSION_LIFETIME, Sessions};
pub use sign_in::{SignedIn, sign_in, start_session};
pub use throttle::Throttle;
pub use token::{Token, TokenHash};
