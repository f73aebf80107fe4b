//! mAI operator: one private AI assistant per client company, declared in YAML.
//!
//! # Layout
//!
//! * [`cli`]: one file per verb of the `mai` binary.
//! * [`api`]: the `MaiInstance` document: types, defaults, rules and conditions. No I/O.
//! * [`adopt`]: from a hand-made Compose deployment to a document. No I/O.
//! * [`backup`]: copies of an instance's data that were read back and checked.
//! * [`source`]: where documents and secrets come from; a watched directory, or a cluster.
//! * [`state`]: what has to survive a restart where there is no cluster to keep it.
//! * [`reconcile`]: the brain (`decide`, pure) and the one loop that runs it.
//! * [`runtime`]: the hands that observe and apply; child processes, a Docker engine, Kubernetes.
//! * [`operator`]: the reconciler of a cluster: leader election, probes, metrics, and what is kept in the cluster itself.
//! * [`openrouter`]: typed client of the upstream, and a mock of it for trying out and for tests.
//! * [`server`]: the per-client chat server that runs inside an instance.
//!
//! The server and the reconciler never import each other; they meet over environment variables, `/health`, `/ready` and the data directory.

pub use {mai_contract as contract, mai_openrouter as openrouter, mai_server as server};

pub mod adopt;
pub mod api;
pub mod backup;
pub mod cli;
mod cluster;
pub mod core;
pub mod operator;
mod ownership;
pub mod reconcile;
pub mod runtime;
pub mod source;
pub mod state;
