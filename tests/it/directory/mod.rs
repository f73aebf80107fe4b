//! A directory of documents as a watch stream, and the state database behind it.

mod broken_document_keeps_last_good;
mod edits_reach_the_stream;
mod empty_directory_removes_nothing;
mod state_survives_a_restart;
