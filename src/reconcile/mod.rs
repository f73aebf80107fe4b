//! Decides what is done next for an instance, and the loop that does it.
//!
//! [`decide`] is a function of the document, the observation, the memory and the clock; it does no
//! I/O. [`run`] feeds it: one keyed, deduplicated, bounded loop over any source of documents and
//! any runtime. Data flows from `observation` (what should run, what is there) through `decide` to
//! the runtime, and from `status` to the record.

mod backoff;
mod decide;
mod desired;
mod environment;
mod facts;
mod observation;
mod plan;
mod ports;
mod reconciler;
mod run;
mod status;

pub use decide::decide;
pub use desired::{desired, probe, references};
pub use facts::{Decision, Facts};
pub use plan::{PlanState, Planned, plan};
pub use run::{Context, InstanceFeed, Options, ReconcileError, ReconcileMetrics, Transition, run};
