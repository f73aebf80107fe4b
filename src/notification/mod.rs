//! Tells webhooks when a condition of an instance turns bad or good again, and what is still bad; and
//! a heartbeat URL that all instances are observed.
//!
//! `rules` says which conditions are told of. `decide` is a function of what was told, what is, and
//! the clock; `message` writes its notice for a service, `webhook` names a URL without its secret
//! part, `client` sends, and `run` does so until it is dropped. There is no queue: what a webhook was
//! told is recorded once it has taken it, so a notice that was not taken is made again, of whatever is
//! bad then.

mod client;
mod decide;
mod message;
mod rules;
mod run;
mod webhook;

pub use client::{Client, ClientError};
pub use run::{Delivery, HeartbeatOptions, Instances, NotificationOptions, Senders};
pub use webhook::{Format, SecretUrl, SecretUrlError, Webhook};
