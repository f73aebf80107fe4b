//! The mock upstream, and the client that reads it.

mod mock_matches_openrouter;
