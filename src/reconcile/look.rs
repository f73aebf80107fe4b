//! One look at one instance: what should run for it, and what is there. The loop and `mai plan` look in the same way.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use secrecy::SecretString;

use super::{Blocked, Facts, Memory, desired, ports, references};
use crate::api::{MaiInstance, MaiInstanceStatus, Reason};
use crate::runtime::{Eyes, Ground, InstanceId, Observed, Workload};
use crate::source::Source;

/// What a look at an instance found.
#[derive(Debug)]
pub(super) struct View {
    /// What should run, or why that cannot be said.
    pub(super) wanted: Result<Workload, Blocked>,
    /// What is there, or why that is not known.
    pub(super) observed: Result<Observed, String>,
    ground: Ground,
}

impl View {
    /// Looks at one instance; `all` are those it may compete with for a port, where it can.
    pub(super) async fn of<S: Source, E: Eyes, A: AsRef<[Arc<MaiInstance>]>>(
        instance: &MaiInstance,
        id: &InstanceId,
        all: impl FnOnce() -> A,
        session_key: &Result<SecretString, String>,
        source: &S,
        eyes: &E,
    ) -> Self {
        let ground = eyes.ground();
        let conflict = match ground {
            Ground::Server => ports::conflict(instance, all().as_ref()),
            Ground::Cluster => None,
        };
        let wanted = match conflict {
            Some(conflict) => Err(conflict),
            None => wanted(instance, id, session_key, source, ground).await,
        };
        let observed = eyes.look(id, wanted.as_ref().ok()).await.map_err(|error| error.to_string());
        Self { wanted, observed, ground }
    }

    /// All that a decision is made from.
    pub(super) fn facts<'a>(
        &'a self,
        instance: &'a MaiInstance,
        memory: &'a Memory,
        previous: &'a MaiInstanceStatus,
    ) -> Facts<'a> {
        Facts {
            instance,
            desired: self.wanted.as_ref(),
            observed: self.observed.as_ref().map_err(String::as_str),
            memory,
            previous,
            ground: self.ground,
            now: Timestamp::now(),
        }
    }
}

async fn wanted<S: Source>(
    instance: &MaiInstance,
    id: &InstanceId,
    session_key: &Result<SecretString, String>,
    source: &S,
    ground: Ground,
) -> Result<Workload, Blocked> {
    let mut secrets = BTreeMap::new();
    for reference in references(instance, ground) {
        let value = source.secret(&id.namespace, &reference).await;
        let value = value.map_err(|error| Blocked::new(Reason::MissingSecret, error.to_string()))?;
        secrets.insert(reference, value);
    }
    let session_key = session_key.as_ref().map_err(|problem| Blocked::new(Reason::MissingSecret, problem.clone()))?;
    desired(instance, id.clone(), &secrets, session_key, ground)
}

/// Which instance a document is about; the error names what it lacks.
pub(super) fn identity(instance: &MaiInstance) -> Result<InstanceId, &'static str> {
    Ok(InstanceId {
        namespace: instance.namespace().ok_or("namespace")?,
        name: instance.metadata.name.clone().ok_or("name")?,
        uid: instance.uid().ok_or("uid")?,
    })
}
