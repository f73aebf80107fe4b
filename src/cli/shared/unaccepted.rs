//! Instances of which no document was ever accepted, as the status shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{API_VERSION, ConditionKind, Conditions, MaiInstanceStatus};
use crate::state::{KnownDocument, Problem, State};

/// An instance that is not reconciled, since its only document is broken or refused.
#[derive(Debug)]
pub(in crate::cli) struct Unaccepted {
    /// Namespace.
    pub(in crate::cli) namespace: String,
    /// Name.
    pub(in crate::cli) name: String,
    /// File of the document.
    pub(in crate::cli) file: String,
    /// Its status: the problems.
    pub(in crate::cli) status: MaiInstanceStatus,
}

impl Unaccepted {
    /// Returns those among the problems of a directory whose names no known instance has.
    pub(in crate::cli) async fn all(
        state: &State,
        problems: &[Problem],
        known: &[KnownDocument],
    ) -> anyhow::Result<Vec<Self>> {
        let mut named: BTreeMap<&(String, String), Vec<&Problem>> = BTreeMap::new();
        for problem in problems {
            if let Some(key) = &problem.instance
                && !known.iter().any(|row| row.released_at.is_none() && (&row.namespace, &row.name) == (&key.0, &key.1))
            {
                named.entry(key).or_default().push(problem);
            }
        }
        let mut all = Vec::new();
        for ((namespace, name), problems) in named {
            let Some(first) = problems.first() else { continue };
            // The problem is recorded as an event when it is met, so that the time stays the same.
            let events = state.events(namespace, name, 1).await?;
            let since = events.first().map_or(Timestamp::UNIX_EPOCH, |event| event.first_seen);
            let message = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            let mut conditions = Conditions::from_previous(&[], None, since);
            conditions.set(ConditionKind::Ready, Some(false), first.reason(), message.as_str());
            conditions.set(ConditionKind::Stalled, Some(true), first.reason(), message.as_str());
            conditions.set(ConditionKind::DocumentValid, Some(false), first.reason(), message.as_str());
            let status = MaiInstanceStatus { conditions: conditions.into_vec(), ..MaiInstanceStatus::default() };
            let (namespace, name, file) = (namespace.clone(), name.clone(), first.file.clone());
            all.push(Self { namespace, name, file, status });
        }
        Ok(all)
    }

    /// Returns it as an object.
    pub(in crate::cli) fn item(&self) -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": "MaiInstance",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "status": self.status,
        })
    }
}
