//! Plain types below decisions and runtimes: what is to run, what was observed, what is done next.
//! No I/O, no clock, and no import of any room but `api` and the contract.
//!
//! A document and its secrets become a [`Workload`]; a runtime reports what is there as
//! [`Observed`]; `decide` answers with an [`Action`]. A [`Record`] keeps what has to survive a
//! restart.

mod action;
mod blocked;
mod change;
mod event;
mod hash;
mod instance_id;
mod job;
mod memory;
mod notified;
mod observed;
mod platform;
mod record;
mod registry;
mod upstream_key;
mod workload;

pub use action::Action;
pub use blocked::Blocked;
pub use change::{Change, Effect, Field};
pub use event::EventKind;
pub use hash::hash_texts;
pub use instance_id::{InstanceId, is_named, kept_name, log_name};
pub use job::{
    DrillChoice, Job, JobRequest, JobState, JobWork, Location, ObservedJob, ObservedJobs, RestoreRequest, Storage,
};
pub use memory::Memory;
pub use notified::{NotificationRecord, Notified, NotifiedInstance, NotifiedLimit, NotifiedWebhook};
pub use observed::{Cause, Component, ComponentKind, Exit, Fault, Observed, Presence, Readiness, Retained};
pub(crate) use platform::host_address;
pub use platform::{DEFAULT_ADDRESS, DefaultMemory, Platform, addresses_overlap};
pub use record::{Record, RecordError, RecordSnapshot};
pub use registry::{DOCKER_CONFIG, RegistryLogin, RegistryLogins};
pub use upstream_key::{CurrentKey, EndedKey, FormerKey, KeyPlace, KeyRecord, KeyValue};
pub use workload::{Claim, Cluster, Container, EnvValue, Exposure, Limits, Probe, Pull, SecretDelivery, Workload};
