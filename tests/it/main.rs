//! Integration tests through the public faces: the command line, HTTP, the process runtime, a
//! directory and the mock upstream. They need neither Docker nor Kubernetes; those have test
//! binaries of their own.
//!
//! * [`server`]: the chat server of one instance: accounts, sessions, chats, usage, the upstream.
//! * [`openrouter`]: the mock upstream against OpenRouter's documented answers.
//! * [`directory`]: a directory of documents as a watch stream, and the state kept for it.
//! * [`compose`]: `mai compose` with real servers, from documents to running clients.
//! * [`backup`]: jobs that make backups, beside a writer, killed, and stopped; stores of backups and
//!   what is kept in them, against a real S3 server.
//! * [`cli`]: the other verbs.
//! * [`process`]: the process runtime: start, observe, stop, take over.
//! * [`recovery`]: the backup of a whole server, and its way back on an empty machine.
//! * [`repository`]: committed files: the CRD, documentation and examples that must agree with the code.
//! * [`fixtures`]: servers, directories and upstreams for the tests, shared with the other test binaries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod backup;
mod cli;
mod compose;
mod directory;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod openrouter;
mod process;
mod recovery;
mod repository;
mod server;
