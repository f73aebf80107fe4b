//! The brain and its loop.
//!
//! [`decide`] is a function of the document, of what was observed, of what is remembered and of the clock; it does no I/O. [`run`] feeds
//! it: one keyed, deduplicated, bounded loop over whatever source gives documents and whatever runtime has the hands.

mod backoff;
mod decide;
mod desired;
mod environment;
mod facts;
mod look;
mod plan;
mod ports;
mod record;
mod run;
mod status;
mod step;

pub use decide::decide;
pub use desired::{Blocked, desired, listen, probe, references};
pub use facts::{Facts, Memory};
pub use plan::{Planned, Standing, plan};
pub use record::{Kept, Record, RecordError};
pub use run::{Context, Feed, Meter, Options, ReconcileError, Transition, run};
pub use step::{Decision, Step};
