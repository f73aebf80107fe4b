//! mAI operator: one private AI assistant per client company, declared in YAML.
//!
//! `docs/architecture.md` has the map of rooms with what each may import. From a document to a
//! running server:
//!
//! * [`api`]: the `MaiInstance` document: types, defaults, CEL rules, conditions, and the table that says
//!   what each field does on each platform. A rule such as "a volume may not shrink" stands here, next to
//!   its field.
//! * [`source`]: documents and secrets, from a watched directory or a cluster, as one watch stream.
//! * [`reconcile`]: [`reconcile::decide`], a pure function from document, observation and memory to the
//!   next action (`decide/`, one file per situation), and the loop that feeds it.
//! * [`core`]: the plain types in between: [`core::Workload`], [`core::Observed`], [`core::Action`],
//!   [`core::Platform`].
//! * [`runtime`]: observes and applies: `process`, `docker`, `kubernetes`. What creates, stops or removes
//!   a container stands in `runtime/docker`; why a restarted engine is not blamed for an exit, in its
//!   `exits.rs`.
//! * [`fleet`]: the provider's view: the counts that servers tell, and how much of a limit is used.
//! * [`state`]: the database that stands in for a cluster: last good documents, statuses, events.
//! * `cluster`: words of the kube client that several rooms share.
//! * [`operator`]: the reconciler of a cluster: leader election, fencing, probes, metrics.
//! * [`fleet`]: the provider's view of all instances: their keys at the upstream.
//! * [`notification`]: notices about instances for webhooks, and heartbeats.
//! * [`recovery`]: the backup of the reconciler itself, and the way back of a whole server.
//! * [`adopt`]: from a hand-made Compose deployment to a document.
//! * [`cli`]: the command line: `verbs/` one file per verb, `shared/` what several use, `kube/`.
//!
//! Six more are crates of their own, so that the compiler keeps the programs apart:
//!
//! * [`contract`]: what the reconciler and any server image agree on.
//! * [`server`]: the per-client chat server; its `usage` room writes the ledger.
//! * [`backup`]: the program that makes, verifies and restores backups.
//! * `listener`: serves HTTP on a port, with bounds on what its callers may hold.
//! * `ownership`: gives a directory to a user without following links.
//! * [`openrouter`]: typed client of the upstream, and a mock of it.

pub use {mai_backup as backup, mai_contract as contract, mai_openrouter as openrouter, mai_server as server};

pub mod adopt;
pub mod api;
pub mod cli;
mod cluster;
pub mod core;
pub mod fleet;
pub mod notification;
pub mod operator;
pub mod reconcile;
pub mod recovery;
pub mod runtime;
pub mod source;
pub mod state;
