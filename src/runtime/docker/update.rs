//! Changes of a running container that need no restart: limits, restart policy, networks, a pause.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bollard::models::{ContainerInspectResponse, ContainerUpdateBody};

use super::engine::Engine;
use super::error::{EngineError, classify, failed, message};
use super::fields;
use super::names::Names;
use super::{networks, spec};
use crate::core::{Change, Effect, Field, InstanceId, Workload};
use crate::runtime::RuntimeError;

/// Value of a limit that means no limit.
const UNLIMITED: i64 = -1;

/// Returns the network in which a container is to be something else.
fn endpoint(change: &Change) -> Option<String> {
    match &change.field {
        Field::Endpoint(network) => Some(network.clone()),
        _ => None,
    }
}

impl Engine {
    /// Turns changes of limits into recreations where the engine cannot update the container.
    pub(super) fn set_effects(&self, container: Option<&str>, changes: &mut [Change]) {
        let refused = |id: &str| self.not_updatable.lock().contains(id);
        if self.cannot_update.load(Ordering::Relaxed) || container.is_some_and(refused) {
            let limits = changes.iter_mut().filter(|change| fields::is_updated_in_place(&change.field));
            limits.for_each(|change| change.effect = Effect::Recreate);
        }
    }

    /// Applies the changes of a workload that need no other container. Of one that differs in other
    /// ways as well limits are changed only if they are among the `wanted` changes: a restored one
    /// keeps those that were declared together with it.
    pub(super) async fn update(&self, workload: &Workload, wanted: &[Change]) -> Result<(), RuntimeError> {
        let in_place = wanted.iter().any(|change| change.effect == Effect::InPlace);
        let id = &workload.id;
        let names = Names::new(id)?;
        self.cache.forget();
        let Some(active) = self.containers(id, &names).await?.active else { return Ok(()) };
        let Some(container) = self.inspect(id, &active).await? else { return Ok(()) };
        self.write_secrets(workload, &names)?;
        if container.state.as_ref().is_some_and(|state| state.paused == Some(true)) {
            self.docker.unpause_container(&active.id).await.map_err(failed("end of its pause", id))?;
        }
        let changes = self.differences(workload, &names, &container).await?;
        let (made, stays) = self.in_place(&active.id, changes, in_place);
        self.update_limits(workload, &names, &container, &made).await?;
        let endpoints: BTreeSet<String> = made.iter().filter_map(endpoint).collect();
        if !endpoints.is_empty() || made.iter().any(|change| matches!(change.field, Field::Network(_))) {
            let mut networks = spec::networks(workload);
            if stays {
                networks.extend(networks::endpoints(&container).into_keys());
            }
            self.networks.join(&self.docker, id, &container, &networks, &endpoints).await?;
        }
        self.cache.forget();
        let Some(container) = self.inspect(id, &active).await? else { return Ok(()) };
        let changes = self.differences(workload, &names, &container).await?;
        let (mut changes, _) = self.in_place(&active.id, changes, in_place);
        // What somebody changed meanwhile is another difference, and is met next.
        changes.retain(|change| made.contains(change));
        if changes.is_empty() {
            return Ok(());
        }
        let kept: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let message = format!("the engine accepted a change and did not keep it: {}", kept.join(", "));
        // A change of a limit that is not kept would be tried again without end.
        if changes.iter().any(|change| fields::is_updated_in_place(&change.field)) {
            self.recreate_for_limits(id, &active.id, &message);
            return Ok(());
        }
        Err(RuntimeError::Refused { action: "change while running", instance: id.to_string(), message, source: None })
    }

    async fn update_limits(
        &self,
        workload: &Workload,
        names: &Names,
        container: &ContainerInspectResponse,
        changes: &[Change],
    ) -> Result<(), RuntimeError> {
        if !changes.iter().any(|change| fields::is_updated_in_place(&change.field)) {
            return Ok(());
        }
        let target = container.id.as_deref().unwrap_or_default();
        let desired = spec::container(workload, names, None, None).host_config.unwrap_or_default();
        let has_changed = |field: Field| changes.iter().any(|change| change.field == field);
        let update = ContainerUpdateBody {
            memory: desired.memory,
            memory_swap: desired.memory_swap,
            memory_reservation: desired.memory_reservation,
            nano_cpus: desired.nano_cpus,
            cpu_shares: desired.cpu_shares,
            pids_limit: has_changed(Field::PidsLimit).then(|| desired.pids_limit.unwrap_or(UNLIMITED)),
            restart_policy: desired.restart_policy,
            ..ContainerUpdateBody::default()
        };
        let Err(error) = self.docker.update_container(target, update).await else { return Ok(()) };
        match classify(&error) {
            // Older versions of Podman do not have the call.
            EngineError::UnknownCall => {
                tracing::warn!("this engine cannot update a running container; a changed limit recreates it");
                self.cannot_update.store(true, Ordering::Relaxed);
                Ok(())
            }
            EngineError::Conflict | EngineError::Refused => {
                self.recreate_for_limits(&workload.id, target, &message(&error));
                Ok(())
            }
            _ => Err(failed("change of its limits", &workload.id)(error)),
        }
    }

    /// Has a container recreated the next time its limits differ.
    fn recreate_for_limits(&self, id: &InstanceId, container: &str, cause: &str) {
        tracing::warn!(instance = %id, "the limits of the running container could not be changed, so it is recreated: {cause}");
        self.not_updatable.lock().insert(container.to_owned());
        self.changes.name(id);
    }

    /// Returns the changes that are applied while the container is kept, and whether it is kept
    /// although it differs from the workload in other ways.
    fn in_place(&self, container: &str, mut changes: Vec<Change>, limits: bool) -> (Vec<Change>, bool) {
        self.set_effects(Some(container), &mut changes);
        let stays = changes.iter().any(|change| change.effect == Effect::Recreate);
        if stays {
            changes.retain(|change| change.effect == Effect::Auxiliary || limits && change.effect == Effect::InPlace);
        }
        (changes, stays)
    }
}
