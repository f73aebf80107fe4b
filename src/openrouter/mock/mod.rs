//! A mock of the upstream.
