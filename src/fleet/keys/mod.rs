//! Keys of instances at the upstream: made with a management key, limited, rotated, disabled and
//! deleted as the document says.
//!
//! [`next`] is a pure function from the document, the record and the keys that the upstream listed to
//! one step; [`KeyHand`] takes it; [`after`] is the record that follows. A step is recorded before the
//! next is decided, so a reconciler that was killed at any point is followed by one that goes on: a key
//! whose value was never recorded is found by its name, which has the uid of the instance, and deleted.

mod decide;
mod hand;
mod state;
#[cfg(test)]
mod tests;
mod wanted;

pub use decide::{KeyFacts, KeyStep, KeyUse, after, next};
pub use hand::{KeyFailure, KeyHand, KeyOutcome, SeenKey, SeenKeys};
pub use state::{KeyState, KeyVerdict, key_value, state};
pub use wanted::{KeyWish, Wanted};
