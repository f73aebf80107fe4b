//! The models that the upstreams offer and this instance allows.
//!
//! [`Models`] fetches the catalogue of the connection in use and keeps it; the catalogue routes
//! each model to its upstream, and [`Upstreams`] has the clients. Chat completions are not sent
//! here.

mod cache;
mod catalogue;
mod upstreams;

pub use cache::Models;
pub use catalogue::{Catalogue, OfferedModel, Routing};
pub use upstreams::{Upstream, Upstreams};
