//! Typed client of the upstream (OpenRouter or anything that speaks its dialect), and a mock of it.
//!
//! It knows nothing of accounts, chats or pages: the server asks it, and it asks the upstream.
//!
//! * [`client`]: the calls: chat completions, models, key, generation.
//! * [`management`]: the calls with a management key: keys, activity, credits.
//! * [`pool`]: the HTTP/1.1 connections that answers are streamed over, one task for each answer.
//!   `endpoint`, `connection`, `received`, `request_body` and `response_body` are its parts.
//! * [`AddressPolicy`]: the addresses at which an upstream may be, checked when it is connected to.
//! * [`answer`]: reads text, usage, errors and the end of an answer whose bytes are passed on
//!   unchanged.
//! * [`usage`], [`generation`], [`key`], [`models`]: the upstream's documents, typed.
//! * [`money`]: `NanoUsd`, the only money type; parsed from decimal text without floats.
//! * [`error`]: errors of a call; `error_body` is the upstream's own account of one.
//! * [`mock`]: an upstream for trials and tests.

mod address;
pub mod answer;
pub mod client;
mod connection;
mod endpoint;
pub mod error;
mod error_body;
mod error_kind;
pub mod generation;
mod json;
pub mod key;
pub mod management;
pub mod mock;
pub mod models;
pub mod money;
mod name;
pub mod pool;
mod received;
mod request_body;
mod response_body;
pub mod usage;

pub use address::AddressPolicy;
pub use answer::{AnswerEnd, AnswerReader, AnswerSummary, plain_body};
pub use client::Client;
pub use endpoint::{Endpoint, without_call};
pub use error::{ListLimit, NetworkFailure, UpstreamError};
pub use error_body::UpstreamErrorBody;
pub use error_kind::ErrorKind;
pub use mai_contract::AddressKind;
pub use management::{ActivityRow, CreatedKey, Credits, KeySettings, ManagedKey, Management};
pub use money::NanoUsd;
pub use name::{LONGEST_NAME, is_name};
pub use pool::Pool;
pub use request_body::RequestBody;
pub use response_body::ResponseBody;
pub use usage::Usage;
