//! Changes that need no restart: limits, restart policy, networks, a pause.

use std::sync::atomic::Ordering;

use bollard::models::ContainerUpdateBody;

use super::engine::Engine;
use super::error::{EngineError, classify, failed};
use super::fields;
use super::names::Names;
use super::{networks, spec};
use crate::core::{Change, Effect, Field, Workload};
use crate::runtime::RuntimeError;

impl Engine {
    /// Makes changes of limits a recreation where the engine cannot change a container while it runs.
    pub(super) fn set_effects(&self, changes: &mut [Change]) {
        if self.cannot_update.load(Ordering::Relaxed) {
            let limits = changes.iter_mut().filter(|change| fields::is_updated_in_place(&change.field));
            limits.for_each(|change| change.effect = Effect::Recreate);
        }
    }

    pub(super) async fn update(&self, workload: &Workload) -> Result<(), RuntimeError> {
        let id = &workload.id;
        let names = Names::new(id)?;
        self.cache.forget();
        let Some(active) = self.containers(id, &names).await?.active else { return Ok(()) };
        let Some(container) = self.inspect(id, &active).await? else { return Ok(()) };
        self.write_secrets(workload, &names)?;
        if container.state.as_ref().is_some_and(|state| state.paused == Some(true)) {
            self.docker.unpause_container(&active.id).await.map_err(failed("end of its pause", id))?;
        }
        let (changes, stays) = self.in_place(self.differences(workload, &names, &container).await?);
        if changes.iter().any(|change| fields::is_updated_in_place(&change.field)) {
            let asked = spec::container(workload, &names, None, None).host_config.unwrap_or_default();
            let update = ContainerUpdateBody {
                memory: asked.memory,
                memory_swap: asked.memory_swap,
                memory_reservation: asked.memory_reservation,
                nano_cpus: asked.nano_cpus,
                cpu_shares: asked.cpu_shares,
                restart_policy: asked.restart_policy,
                ..ContainerUpdateBody::default()
            };
            match self.docker.update_container(&active.id, update).await {
                // Not the container but the call is unknown: older versions of Podman do not have it. Such a change needs a replacement.
                Err(error) if classify(&error) == EngineError::UnknownCall => {
                    tracing::warn!(
                        "this engine cannot change a container while it runs; limits are changed by replacing it"
                    );
                    self.cannot_update.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                outcome => outcome.map_err(failed("change of its limits", id))?,
            }
        }
        if changes.iter().any(|change| matches!(change.field, Field::Network(_))) {
            let mut networks = spec::networks(workload);
            if stays {
                networks.extend(networks::endpoints(&container).into_keys());
            }
            self.networks.join(&self.docker, id, &container, &networks).await?;
        }
        self.cache.forget();
        // What the engine took and did not keep would be tried again without end.
        let Some(container) = self.inspect(id, &active).await? else { return Ok(()) };
        let (changes, _) = self.in_place(self.differences(workload, &names, &container).await?);
        if changes.is_empty() {
            return Ok(());
        }
        let kept: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let message = format!("it took a change and did not keep it: {}", kept.join(", "));
        Err(RuntimeError::Refused { action: "change while running", instance: id.to_string(), message, source: None })
    }

    /// Returns those of the changes that are made while the container stays as it is, and whether it stays
    /// though it is not what is declared.
    fn in_place(&self, mut changes: Vec<Change>) -> (Vec<Change>, bool) {
        self.set_effects(&mut changes);
        let stays = changes.iter().any(|change| change.effect == Effect::Recreate);
        if stays {
            changes.retain(|change| change.effect == Effect::Auxiliary);
        }
        (changes, stays)
    }
}
