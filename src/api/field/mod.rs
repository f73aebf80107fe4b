//! The effect of each field of a document on each platform, in one table ([`FIELDS`]), and what
//! follows from it: the refusal of fields without an effect ([`refusals`]), the same refusal by an
//! API server ([`crd`]), and `docs/fields.md`. Pure data, no I/O.

mod admission;
mod effect;
mod refusal;
mod row;
mod table;

pub use admission::{crd, crds};
pub use effect::{Effect, Field, PlatformKind};
pub use refusal::refusals;
pub use table::FIELDS;
