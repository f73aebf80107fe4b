//! Typed client of the upstream (OpenRouter or anything that speaks its dialect), and a mock of it.
//!
//! * [`money`]: `MicroUsd`, the only money type; parsed from JSON number text without floats.
//! * [`usage`]: what a generation used, as the upstream reports it.
//! * [`scan`]: reads usage out of a response that is passed on unchanged.
//! * [`pool`]: the lean HTTP/1.1 connection pool that answers are streamed through.
//! * [`client`]: the small calls: models, key, generation.
//! * [`mock`]: an upstream to try the product against, and to test it with.

pub mod client;
pub mod error;
pub mod generation;
pub mod key;
pub mod mock;
pub mod models;
pub mod money;
pub mod pool;
pub mod scan;
pub mod usage;

pub use client::Client;
pub use error::{UpstreamError, UpstreamWords};
pub use money::MicroUsd;
pub use usage::Usage;
