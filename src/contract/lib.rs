//! What the reconciler and a server image agree on. Both programs depend on this crate and never on each other.
