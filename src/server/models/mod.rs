//! The models that the upstreams offer and this instance allows.
//!
//! [`Models`] fetches the catalogue of the connection in use and keeps it; the catalogue routes
//! each model to its upstream and knows its price, and [`Upstreams`] has the clients. Chat completions are not sent
//! here.

mod cache;
mod catalogue;
mod price;
mod upstreams;

pub use cache::Models;
pub use catalogue::{Catalogue, OfferedModel, Routing};
pub use price::{ModelPrice, RequestSize};
pub use upstreams::{Upstream, Upstreams};
