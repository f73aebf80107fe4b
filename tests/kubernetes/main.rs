//! A real Kubernetes: what its API server accepts, and what `mai operator` makes, repairs and removes on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod asked;
mod by_hand;
mod causes;
#[allow(dead_code)]
mod cluster;
mod confined;
mod figures;
#[allow(dead_code)]
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod images;
mod leaders;
mod life;
mod operator;
mod plugin;
mod resource;
mod rolled_back;
mod rules;
mod secrets;
mod stage;
mod still;
mod volumes;
mod whole_cluster;
