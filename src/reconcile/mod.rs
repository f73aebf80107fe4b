//! Decides what is done next for an instance, and the loop that does it.
//!
//! [`decide`] is a function of the document, the observation, the memory and the clock; it does no
//! I/O. [`run`] feeds it: one keyed, deduplicated, bounded loop over any source of documents and
//! any runtime. Data flows from `observation` (what should run, what is there) through `decide` to
//! the runtime, and from `status` to the record. A backup is a job next to the server: `schedule` says
//! when one is due, `job` derives it, `backup_report` puts what came of it into the status. A restore
//! takes several jobs; `restore_record` says which step follows on the end of each. `keys` has the keys of
//! instances made and deleted at their upstream, in the background.

mod backoff;
mod backup_inputs;
mod backup_report;
mod counted_servers;
mod decide;
mod desired;
mod drills;
mod environment;
mod facts;
mod fleet;
mod hosts;
pub mod job;
mod jobs;
mod keys;
mod observation;
mod overview;
mod plan;
mod ports;
mod reconciler;
mod restore_record;
mod run;
mod running_jobs;
mod schedule;
mod status;
mod upgrade_report;
#[cfg(test)]
mod upgrade_tests;
mod usage_report;

pub use decide::decide;
pub use desired::{Generated, desired, probe, references, refusal};
pub use facts::{Decision, Facts, FleetTurn};
pub use overview::Overview;
pub use plan::{PlanState, Planned, plan};
pub use run::{Context, InstanceFeed, Options, ReconcileError, ReconcileMetrics, Transition, run};
