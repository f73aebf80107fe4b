//! The brain and its loop.
