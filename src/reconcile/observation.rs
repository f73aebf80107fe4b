//! One observation of one instance: the workload that should run, and what exists. The loop and
//! `mai plan` observe in the same way.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;

use super::facts::FleetTurn;
use super::{Facts, Generated, desired, hosts, ports, references, refusal};
use crate::api::{MaiInstance, MaiInstanceStatus, Reason};
use crate::core::{Blocked, InstanceId, Memory, Observed, Platform, Workload};
use crate::fleet::keys::KeyState;
use crate::runtime::Observe;
use crate::source::{Reader, Source};

/// Secrets that mai makes for an instance, as far as they are known.
#[derive(Debug)]
pub(super) struct OwnSecrets<'a> {
    /// Signs its sessions.
    pub(super) session_key: &'a Result<SecretString, String>,
    /// Its key at the upstream.
    pub(super) upstream_key: Result<Option<SecretString>, Blocked>,
}

/// The workload that should run for an instance, and the observation of it.
#[derive(Debug)]
pub(super) struct Observation {
    /// The workload that should run, or why it is not known.
    pub(super) desired: Result<Workload, Blocked>,
    /// The observation, or why it failed.
    pub(super) observed: Result<Observed, String>,
    platform: Platform,
}

impl Observation {
    /// Observes one instance. `all` are those it may compete with for a port or a
    /// host.
    pub(super) async fn make<S: Source, O: Observe, A: AsRef<[Arc<MaiInstance>]>>(
        instance: &MaiInstance,
        id: &InstanceId,
        all: impl FnOnce() -> A,
        secrets: &OwnSecrets<'_>,
        source: &S,
        runtime: &O,
    ) -> Self {
        let platform = runtime.platform();
        let all = all();
        let conflict = match platform.shares_ports {
            true => ports::conflict(instance, all.as_ref()),
            // The policy compares those of a directory, by the folders of their documents.
            false => hosts::conflict(instance, all.as_ref()),
        };
        let desired = match conflict {
            Some(conflict) => Err(conflict),
            None => derive(instance, id, secrets, source, &platform).await,
        };
        let observed = runtime.observe(id, desired.as_ref().ok()).await.map_err(|error| error.to_string());
        Self { desired, observed, platform }
    }

    /// Returns everything a decision is made from. `jobs_running` counts those of other instances,
    /// `fleet` is about their upgrades.
    pub(super) fn facts<'a>(
        &'a self,
        instance: &'a MaiInstance,
        memory: &'a Memory,
        previous: &'a MaiInstanceStatus,
        jobs_running: usize,
        fleet: FleetTurn,
    ) -> Facts<'a> {
        Facts {
            instance,
            desired: self.desired.as_ref(),
            observed: self.observed.as_ref().map_err(String::as_str),
            memory,
            previous,
            platform: self.platform,
            now: Timestamp::now(),
            jobs_running,
            fleet,
            counts: None,
            backup_problem: None,
            backup_corrected: false,
            random: rand::random(),
            key: KeyState::default(),
        }
    }
}

async fn derive<S: Source>(
    instance: &MaiInstance,
    id: &InstanceId,
    own: &OwnSecrets<'_>,
    source: &S,
    platform: &Platform,
) -> Result<Workload, Blocked> {
    if let Some(refusal) = refusal(instance) {
        return Err(Blocked::new(Reason::RefusedByPolicy, refusal));
    }
    let mut secrets = BTreeMap::new();
    for reference in references(instance, platform) {
        let value = source.secret(&Reader::from(instance), &reference).await;
        let value = value.map_err(|error| Blocked::new(error.reason(), error.to_string()))?;
        secrets.insert(reference, value);
    }
    let session_key =
        own.session_key.as_ref().map_err(|problem| Blocked::new(Reason::MissingSecret, problem.clone()))?;
    let generated = Generated { session_key: session_key.clone(), upstream_key: own.upstream_key.clone()? };
    desired(instance, id.clone(), &secrets, &generated, platform)
}
