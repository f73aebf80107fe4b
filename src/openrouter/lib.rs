//! Typed client of the upstream (OpenRouter or anything that speaks its dialect), and a mock of it.
//!
//! It knows nothing of accounts, chats or pages: the server asks it, and it asks the upstream.
//!
//! * [`client`]: the calls: chat completions, models, key, generation.
//! * [`pool`]: the HTTP/1.1 connections that answers are streamed over, one task for each answer.
//!   `endpoint`, `connection`, `received`, `request_body` and `response_body` are its parts.
//! * [`scan`]: reads usage out of a response whose bytes are passed on unchanged.
//! * [`usage`], [`generation`], [`key`], [`models`]: the upstream's documents, typed.
//! * [`money`]: `MicroUsd`, the only money type; parsed from decimal text without floats.
//! * [`error`]: errors of a call, and the upstream's own message in an error body.
//! * [`mock`]: an upstream for trials and tests.

pub mod client;
mod connection;
mod endpoint;
pub mod error;
pub mod generation;
pub mod key;
pub mod lines;
pub mod mock;
pub mod models;
pub mod money;
pub mod pool;
mod received;
mod request_body;
mod response_body;
pub mod scan;
pub mod usage;

pub use client::Client;
pub use endpoint::Endpoint;
pub use error::{NetworkFailure, UpstreamError, UpstreamErrorBody};
pub use money::MicroUsd;
pub use pool::Pool;
pub use request_body::RequestBody;
pub use response_body::ResponseBody;
pub use usage::Usage;
