//! Sends notices to webhooks when a condition of an instance turns bad or good again, when much of its
//! month's limit is used, and reminders of what is still bad; requests a heartbeat URL while all instances are observed.
//!
//! `rules` lists the conditions about which notices are sent, `limits` the parts of a limit. `decide` is a function of the recorded
//! notices, the present conditions and the clock; `message` writes its notice for a service, `webhook`
//! names a URL without its secret part, `client` sends, and `run` does so until it is dropped. There is
//! no queue: a notice is recorded once a webhook has taken it, so one that was not taken is made again,
//! about whatever is bad then.

mod client;
mod decide;
mod limits;
mod message;
mod rules;
mod run;
mod webhook;

pub use client::{Client, ClientError};
pub use run::{Delivery, HeartbeatOptions, Instances, NotificationOptions, Senders};
pub use webhook::{Format, SecretUrl, SecretUrlError, Webhook};
