//! The mock upstream, and the client that reads it.

mod mock_makes_keys;
mod mock_matches_openrouter;
