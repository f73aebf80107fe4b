//! `mai compose --runtime docker` against a real Docker Engine: what is made, what is repaired, what is left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod adopted;
mod broken;
mod by_hand;
mod drift;
mod engine;
mod full_disk;
mod interrupted;
mod made;
mod own_server;
mod planned;
mod proxy;
mod refused;
mod registry;
mod restarts;
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod twenty;
