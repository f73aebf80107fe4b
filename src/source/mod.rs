//! Where documents and secrets come from.
