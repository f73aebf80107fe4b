//! `mai compose --runtime docker` against a real Docker Engine: what is made, what is repaired, what is left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod adopted;
mod broken;
mod by_hand;
mod drift;
mod engine;
#[allow(dead_code)]
#[path = "../fixtures/mod.rs"]
mod fixtures;
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
mod twenty;
