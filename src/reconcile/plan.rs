//! What a pass of the loop would do next for each instance, and why; nothing is done.

use std::sync::Arc;

use secrecy::SecretString;

use super::look::{View, identity};
use super::{Decision, Kept, Memory, Record, RecordError, Step, decide};
use crate::api::{ConditionKind, MaiInstance, MaiInstanceStatus};
use crate::runtime::{Eyes, InstanceId};
use crate::source::Source;

/// What would be done next for one instance.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The instance.
    pub id: InstanceId,
    /// The next step.
    pub step: Step,
    /// How the instance stands when the step is to wait.
    pub standing: Standing,
    /// What people would be told.
    pub message: String,
}

/// How an instance stands for which nothing is done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as declared.
    Converged,
    /// Something is under way and ends by itself.
    UnderWay,
    /// A person has to do something first, or it could not be looked at.
    Blocked,
}

/// Looks at each instance as the loop would. `record` is what the loop keeps, when it has ever run.
pub async fn plan<S: Source, E: Eyes, K: Record>(
    instances: &[Arc<MaiInstance>],
    record: Option<&K>,
    source: &S,
    eyes: &E,
) -> Result<Vec<Planned>, RecordError> {
    let mut planned = Vec::new();
    for instance in instances {
        // Every row of a source has all three; one that had not would not be worked on either.
        let Ok(id) = identity(instance) else { continue };
        let Kept { status: previous, memory, session_key } = match record {
            Some(record) => record.recall(instance, &id, false).await?,
            None => Kept {
                status: MaiInstanceStatus::default(),
                memory: Memory::default(),
                session_key: Ok(SecretString::from(String::new())),
            },
        };
        let view = View::of(instance, &id, || instances, &session_key, source, eyes).await;
        let Decision { step, status, .. } = decide(&view.facts(instance, &memory, &previous));
        let stalled = status.true_condition(ConditionKind::Stalled);
        let standing = if view.observed.is_err() || stalled.is_some() {
            Standing::Blocked
        } else if status.true_condition(ConditionKind::Reconciling).is_some() {
            Standing::UnderWay
        } else {
            Standing::Converged
        };
        let message = match (&view.observed, stalled) {
            (Err(problem), _) => problem.clone(),
            (_, Some(condition)) => condition.message.clone(),
            _ => status.condition(ConditionKind::Ready).map(|ready| ready.message.clone()).unwrap_or_default(),
        };
        planned.push(Planned { id, step, standing, message });
    }
    Ok(planned)
}
