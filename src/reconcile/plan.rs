//! The next action of each instance and its cause, without doing anything.

use std::sync::Arc;

use secrecy::SecretString;

use super::facts::FleetTurn;
use super::observation::{Observation, OwnSecrets};
use super::{Decision, decide};
use crate::api::{ConditionKind, MaiInstance, MaiInstanceStatus, Reason};
use crate::core::{Action, Blocked, InstanceId, KeyRecord, Memory, Record, RecordError, RecordSnapshot};
use crate::fleet::keys::key_value;
use crate::runtime::Observe;
use crate::source::Source;

/// The next action of one instance.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The instance.
    pub id: InstanceId,
    /// The next action.
    pub action: Action,
    /// State of the instance when the action is to wait.
    pub state: PlanState,
    /// Message of its Ready condition.
    pub message: String,
}

/// State of an instance for which nothing is done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanState {
    /// It is as declared.
    Converged,
    /// Work is under way and ends by itself.
    Progressing,
    /// A person has to act first, or it could not be observed.
    Blocked,
}

/// Decides for each instance as the loop would. `record` is the loop's, if it has ever run.
pub async fn plan<S: Source, O: Observe, K: Record>(
    instances: &[Arc<MaiInstance>],
    record: Option<&K>,
    source: &S,
    runtime: &O,
) -> Result<Vec<Planned>, RecordError> {
    let mut planned = Vec::new();
    for instance in instances {
        // Every row of a source has all three; the loop would skip another one too.
        let Ok(id) = InstanceId::try_from(instance.as_ref()) else { continue };
        let RecordSnapshot { status: previous, memory, session_key, keys } = match record {
            Some(record) => record.load(instance, &id, false).await?,
            None => RecordSnapshot {
                status: MaiInstanceStatus::default(),
                memory: Memory::default(),
                session_key: Ok(SecretString::from(String::new())),
                keys: Ok(KeyRecord::default()),
            },
        };
        let upstream_key = match &keys {
            Ok(keys) => key_value(instance, keys, None),
            Err(problem) => Err(Blocked::new(Reason::MissingSecret, problem.clone())),
        };
        let secrets = OwnSecrets { session_key: &session_key, upstream_key };
        let observation = Observation::make(instance, &id, || instances, &secrets, source, runtime).await;
        let Decision { action, status, .. } =
            decide(&observation.facts(instance, &memory, &previous, 0, FleetTurn::Free));
        let stalled = status.true_condition(ConditionKind::Stalled);
        let state = if observation.observed.is_err() || stalled.is_some() {
            PlanState::Blocked
        } else if status.true_condition(ConditionKind::Reconciling).is_some() {
            PlanState::Progressing
        } else {
            PlanState::Converged
        };
        let message = match (&observation.observed, stalled) {
            (Err(problem), _) => problem.clone(),
            (_, Some(condition)) => condition.message.clone(),
            _ => status.condition(ConditionKind::Ready).map(|ready| ready.message.clone()).unwrap_or_default(),
        };
        planned.push(Planned { id, action, state, message });
    }
    Ok(planned)
}
