//! What a pass of the loop would do next for each instance, and why; nothing is done.

use std::sync::Arc;

use secrecy::SecretString;

use super::look::{View, identity};
use super::{Decision, Memory, Step, decide, status};
use crate::api::{MaiInstance, MaiInstanceStatus};
use crate::runtime::{Eyes, InstanceId};
use crate::source::Source;
use crate::state::{State, StateError};

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

/// Looks at each instance as the loop would. `state` is what the loop remembers, when it has ever run.
pub async fn plan<S: Source, E: Eyes>(
    instances: &[Arc<MaiInstance>],
    state: Option<&State>,
    source: &S,
    eyes: &E,
) -> Result<Vec<Planned>, StateError> {
    let mut planned = Vec::new();
    for instance in instances {
        // Every row of a source has all three; one that had not would not be worked on either.
        let Ok(id) = identity(instance) else { continue };
        let (mut previous, mut memory, mut session_key) = (MaiInstanceStatus::default(), Memory::default(), None);
        if let Some(state) = state {
            previous = state.status(&id.uid).await?.unwrap_or_default();
            memory = state.memory(&id.uid).await?;
            session_key = state.known_secret(&id.uid, "session-key").await?;
        }
        // Of an instance without one nothing runs yet that could be compared.
        let session_key = session_key.unwrap_or_else(|| SecretString::from(String::new()));
        let view = View::of(instance, &id, instances, &session_key, source, eyes).await;
        let Decision { step, status, .. } = decide(&view.facts(instance, &memory, &previous));
        let holds = |kind: &str| status.conditions.iter().any(|c| c.type_ == kind && c.status == "True");
        let standing = if view.observed.is_err() || holds("Stalled") {
            Standing::Blocked
        } else if holds("Reconciling") {
            Standing::UnderWay
        } else {
            Standing::Converged
        };
        let stalled = status.conditions.iter().find(|c| c.type_ == "Stalled" && c.status == "True");
        let message = match (&view.observed, stalled) {
            (Err(problem), _) => problem.clone(),
            (_, Some(condition)) => condition.message.clone(),
            _ => status::readiness(&status).map(|(_, _, message)| message.to_owned()).unwrap_or_default(),
        };
        planned.push(Planned { id, step, standing, message });
    }
    Ok(planned)
}
