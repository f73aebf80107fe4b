//! Executes the steps of `replacement`, one at a time, and reads the containers again after each
//! whose result is not already known.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    RemoveContainerOptions, RemoveContainerOptionsBuilder, RenameContainerOptions, RenameContainerOptionsBuilder,
    StartContainerOptions, StopContainerOptions,
};

use super::containers::{ContainerRef, InstanceContainers};
use super::engine::Engine;
use super::error::{EngineError, classify, failed, message, runtime_error, status, unless_missing};
use super::names::Names;
use super::replacement::{CreateRole, Goal, RenameRole, Step, UpToDate, next_step};
use super::{creation, owner, ports};
use crate::core::{Action, Effect, InstanceId, Workload};
use crate::runtime::{RuntimeError, required};

/// More steps than any goal takes.
const MAX_STEPS: usize = 24;
/// Pause before the containers are read again while somebody else removes one.
const REMOVAL_PAUSE: Duration = Duration::from_millis(100);

/// The containers of an instance, as last read.
#[derive(Default)]
struct Snapshot {
    containers: InstanceContainers,
    up_to_date: UpToDate,
    /// By id, those that were compared with the workload.
    inspected: HashMap<String, ContainerInspectResponse>,
}

/// Result of a step.
enum Outcome {
    /// The goal is reached.
    Reached,
    /// A container was created; everything else is as it was.
    Created(CreateRole, ContainerRef, Box<ContainerInspectResponse>),
    /// The containers have to be read again.
    Changed,
}

impl Snapshot {
    /// Adds a container that was just created from the workload.
    fn add(&mut self, role: CreateRole, created: ContainerRef, container: ContainerInspectResponse) {
        self.inspected.insert(created.id.clone(), container);
        let (place, up_to_date) = match role {
            CreateRole::Active => (&mut self.containers.active, &mut self.up_to_date.active),
            CreateRole::Next => (&mut self.containers.next, &mut self.up_to_date.next),
        };
        (*place, *up_to_date) = (Some(created), true);
    }
}

impl Engine {
    /// Reaches a goal that needs no workload.
    pub(super) async fn reach(&self, goal: Goal, id: &InstanceId) -> Result<(), RuntimeError> {
        self.reach_with(goal, id, None).await
    }

    /// Reaches a goal with the containers of `workload`.
    pub(super) async fn reach_for(&self, goal: Goal, workload: &Workload) -> Result<(), RuntimeError> {
        self.note_instance(&workload.id, Some(workload));
        self.reach_with(goal, &workload.id, Some(workload)).await
    }

    async fn reach_with(&self, goal: Goal, id: &InstanceId, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        let names = Names::new(id)?;
        // Kept until the last step: the replacement of a stopped server starts next, without a wait
        // between.
        let mut permit = None;
        let mut snapshot = self.snapshot(goal, id, &names, workload).await?;
        for _ in 0..MAX_STEPS {
            let step = next_step(goal, &snapshot.containers, &names.active, snapshot.up_to_date);
            tracing::debug!(instance = %id, ?goal, "{step:?}");
            if step == Step::Done {
                return Ok(());
            }
            if permit.is_none() {
                permit = match &step {
                    // A server that keeps failing serves nobody, so its stop need not wait.
                    Step::Stop(container) if goal == Goal::Replace && !container.awaits_restart => {
                        Some(self.swaps.acquire().await)
                    }
                    Step::Start(_) => Some(self.starts.acquire().await),
                    _ => None,
                };
            }
            let outcome = self.execute(step, id, &names, workload, &mut snapshot.inspected).await;
            self.cache.forget();
            match outcome? {
                Outcome::Reached => return Ok(()),
                Outcome::Created(role, created, container) => snapshot.add(role, created, *container),
                Outcome::Changed => snapshot = self.snapshot(goal, id, &names, workload).await?,
            }
        }
        let message = "another program keeps changing its containers; stop that program".to_owned();
        Err(RuntimeError::Refused { action: "change", instance: id.to_string(), message, source: None })
    }

    async fn snapshot(
        &self,
        goal: Goal,
        id: &InstanceId,
        names: &Names,
        workload: Option<&Workload>,
    ) -> Result<Snapshot, RuntimeError> {
        let containers = self.containers(id, names).await?;
        if goal != Goal::Stop && goal != Goal::Remove {
            containers.check_names(id)?;
        }
        let mut snapshot = Snapshot { containers, ..Snapshot::default() };
        let Some(workload) = workload else { return Ok(snapshot) };
        for (container, up_to_date) in [
            (&snapshot.containers.active, &mut snapshot.up_to_date.active),
            (&snapshot.containers.next, &mut snapshot.up_to_date.next),
        ] {
            let Some(container) = container else { continue };
            let Some(inspected) = self.inspect(id, container).await? else { continue };
            let mut changes = self.differences(workload, names, &inspected).await?;
            self.set_effects(inspected.id.as_deref(), &mut changes);
            *up_to_date = changes.iter().all(|change| change.effect != Effect::Recreate);
            snapshot.inspected.insert(container.id.clone(), inspected);
        }
        Ok(snapshot)
    }

    async fn execute(
        &self,
        step: Step,
        id: &InstanceId,
        names: &Names,
        workload: Option<&Workload>,
        inspected: &mut HashMap<String, ContainerInspectResponse>,
    ) -> Result<Outcome, RuntimeError> {
        match step {
            Step::Done => return Ok(Outcome::Reached),
            Step::Create(role) => {
                let workload = required(&Action::Start, workload)?;
                let _permit = self.creations.acquire().await;
                if let Some((created, container)) = self.create(workload, names, role).await? {
                    return Ok(Outcome::Created(role, created, Box::new(container)));
                }
            }
            Step::Start(container) => return self.start(id, &container, inspected.remove(&container.id)).await,
            Step::Stop(container) => self.stop(id, &container).await?,
            Step::Remove(container) => self.remove(id, names, &container).await?,
            Step::Rename(container, role) => {
                let name = match role {
                    RenameRole::Active => &names.active,
                    RenameRole::Retained => &names.retained,
                };
                self.rename(id, &container, name).await?;
            }
        }
        Ok(Outcome::Changed)
    }

    /// Starts a container; `inspected` is what is already known of it.
    async fn start(
        &self,
        id: &InstanceId,
        container: &ContainerRef,
        inspected: Option<ContainerInspectResponse>,
    ) -> Result<Outcome, RuntimeError> {
        let inspected = match inspected {
            Some(inspected) => Some(inspected),
            None => self.inspect(id, container).await?,
        };
        // Here and not at creation: the creating process may have been killed since, and volumes
        // may have been replaced.
        if let Some(inspected) = inspected.filter(owner::is_confined) {
            owner::give(&self.docker, id, &inspected, self.owns_engine_files).await?;
        }
        let mut outcome = self.docker.start_container(&container.id, None::<StartContainerOptions>).await;
        if outcome.as_ref().is_err_and(|error| classify(error) == EngineError::NetworkNotFound)
            && let Some(inspected) = self.inspect(id, container).await?
        {
            self.networks.rejoin(&self.docker, id, &inspected).await?;
            outcome = self.docker.start_container(&container.id, None::<StartContainerOptions>).await;
        }
        let Err(error) = outcome else { return Ok(Outcome::Reached) };
        let class = classify(&error);
        if class == EngineError::StaleTask {
            // An engine that was killed has half started it and does not know. To the engine, a
            // recreated container is another one.
            let cause = message(&error);
            tracing::warn!(instance = %id, "the engine cannot start {}, which is recreated: {cause}", container.name);
            self.remove(id, &Names::new(id)?, container).await?;
            return Ok(Outcome::Changed);
        }
        // An engine that did not answer has refused nothing.
        if let Some(status) = status(&error).filter(|status| *status != 404) {
            self.exits.note_refused(&container.id, status);
        }
        if class == EngineError::PortTaken {
            let wanted = self.inspect(id, container).await?.as_ref().and_then(ports::published);
            if let Some(wanted) = wanted {
                let holder = ports::listener(wanted).await;
                return Err(RuntimeError::PortTaken { instance: id.to_string(), port: wanted.port(), holder });
            }
        }
        Err(runtime_error("start", id.to_string(), error))
    }

    pub(super) async fn stop(&self, id: &InstanceId, container: &ContainerRef) -> Result<(), RuntimeError> {
        let mut outcome = self.docker.stop_container(&container.id, None::<StopContainerOptions>).await;
        if outcome.as_ref().is_err_and(|error| classify(error) == EngineError::Paused) {
            self.docker.unpause_container(&container.id).await.map_err(failed("end of its pause", id))?;
            outcome = self.docker.stop_container(&container.id, None::<StopContainerOptions>).await;
        }
        unless_missing(outcome).map_err(failed("stop", id))
    }

    /// Removes a container and its anonymous volumes; named volumes are kept.
    pub(super) async fn remove(
        &self,
        id: &InstanceId,
        names: &Names,
        container: &ContainerRef,
    ) -> Result<(), RuntimeError> {
        let options: RemoveContainerOptions = RemoveContainerOptionsBuilder::new().v(true).build();
        let outcome = self.docker.remove_container(&container.id, Some(options)).await;
        self.exits.forget(&container.id);
        self.not_updatable.lock().remove(&container.id);
        creation::remove_marker(&self.home(names), &container.id);
        match outcome {
            Err(error) if classify(&error) == EngineError::RemovalInProgress => {
                tokio::time::sleep(REMOVAL_PAUSE).await;
                Ok(())
            }
            outcome => unless_missing(outcome).map_err(failed("removal of a container", id)),
        }
    }

    async fn rename(&self, id: &InstanceId, container: &ContainerRef, name: &str) -> Result<(), RuntimeError> {
        let options: RenameContainerOptions = RenameContainerOptionsBuilder::new().name(name).build();
        self.docker.rename_container(&container.id, options).await.map_err(|error| match classify(&error) {
            EngineError::Conflict => {
                RuntimeError::NameTaken { instance: id.to_string(), what: format!("container {name}") }
            }
            _ => failed("renaming of a container", id)(error),
        })
    }
}
