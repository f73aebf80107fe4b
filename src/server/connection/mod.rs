//! The upstream's address and the key to it: from the environment, or saved by the admin, sealed.
//!
//! The admin's pages and JSON routes save and check a connection through [`Connections`]; models
//! and completions read the one in use from it. Requests to the upstream other than the check are
//! not made here. `policy` says at which addresses an upstream may be that an admin enters.

mod connections;
mod error;
mod key_monitor;
mod mock;
mod openrouter_host;
mod policy;
mod seal;
mod store;
mod upstream;
mod verify;

pub use connections::Connections;
pub use error::{ConnectionError, UrlProblem};
pub(super) use key_monitor::KeyMonitor;
pub(super) use mock::start_mock;
pub(super) use openrouter_host::OpenRouterHost;
pub(super) use policy::UpstreamPolicy;
pub use upstream::{Connection, ConnectionSource, base_url};
pub use verify::ConnectionCheck;
