//! A real Kubernetes: what its API server accepts, and what `mai operator` makes, repairs and removes on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)]
mod cluster;
mod confined;
#[allow(dead_code)]
mod images;
#[allow(dead_code)]
mod operator;
mod plugin;
mod resource;
mod rules;
#[allow(dead_code)]
mod stage;
#[path = "../support/mod.rs"]
mod support;
