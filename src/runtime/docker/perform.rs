//! Does what `dance` says, one move at a time, looking anew after each whose outcome is not known already.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{
    CreateContainerOptions, CreateContainerOptionsBuilder, RemoveContainerOptions, RemoveContainerOptionsBuilder,
    RenameContainerOptions, RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptions,
};

use super::cast::{Cast, Part};
use super::dance::{Fits, Goal, Move, Role, next_move};
use super::fields::Fields;
use super::inside::Place;
use super::labels::Labels;
use super::names::Names;
use super::problem::{classify, engine, is_missing, said, status, unless_missing};
use super::secrets::{self, SecretFile};
use super::{Hands, owner, spec, volumes};
use crate::core::{Effect, InstanceId, SecretDelivery, Workload};
use crate::runtime::RuntimeError;

/// More moves than any way takes.
const MOVES: usize = 24;

/// What is there for an instance.
#[derive(Default)]
struct Scene {
    cast: Cast,
    fits: Fits,
    /// By id, as far as they had to be looked into.
    containers: HashMap<String, ContainerInspectResponse>,
}

/// What came of a start.
#[derive(PartialEq, Eq)]
enum Start {
    /// It runs, which is where every way ends.
    Done,
    /// The container was removed and has to be made anew.
    MadeAnew,
}

impl Scene {
    /// Takes in a container that was just made, which is as asked for.
    fn add(&mut self, role: Role, part: Part, container: ContainerInspectResponse) {
        self.containers.insert(part.id.clone(), container);
        let (place, fits) = match role {
            Role::Active => (&mut self.cast.active, &mut self.fits.active),
            Role::Next => (&mut self.cast.next, &mut self.fits.next),
            // None is made for this part.
            Role::Former => return,
        };
        (*place, *fits) = (Some(part), true);
    }
}

impl Hands {
    /// Reaches a goal that needs no document.
    pub(super) async fn perform(&self, goal: Goal, id: &InstanceId) -> Result<(), RuntimeError> {
        self.dance(goal, id, None).await
    }

    /// Reaches a goal with what `workload` asks for.
    pub(super) async fn perform_for(&self, goal: Goal, workload: &Workload) -> Result<(), RuntimeError> {
        self.know(&workload.id, Some(workload));
        self.dance(goal, &workload.id, Some(workload)).await
    }

    async fn dance(&self, goal: Goal, id: &InstanceId, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        let names = Names::of(id)?;
        // Kept until the last move: who stops a server has its successor started next, and does not wait between.
        let mut turn = None;
        let mut scene = self.look(goal, id, &names, workload).await?;
        for _ in 0..MOVES {
            let step = next_move(goal, &scene.cast, &names.active, scene.fits);
            tracing::debug!(instance = %id, ?goal, "{step:?}");
            if turn.is_none() {
                turn = match &step {
                    // One that fails again and again serves nobody meanwhile.
                    Move::Stop(part) if goal == Goal::Replace && !part.waits => Some(self.swaps.acquire().await),
                    Move::Start(_) => Some(self.starts.acquire().await),
                    _ => None,
                };
            }
            match step {
                Move::Done => return Ok(()),
                Move::Create(role) => {
                    // The dance asks for it only where there is a workload.
                    let Some(workload) = workload else { return Ok(()) };
                    let _turn = self.creations.acquire().await;
                    if let Some((part, container)) = self.create(workload, &names, role).await? {
                        scene.add(role, part, container);
                        continue;
                    }
                }
                Move::Start(part) => {
                    if self.start(id, &part, scene.containers.remove(&part.id)).await? == Start::Done {
                        return Ok(());
                    }
                }
                Move::Stop(part) => self.stop(id, &part).await?,
                Move::Remove(part) => self.remove(id, &part).await?,
                Move::Rename(part, role) => self.rename(id, &part, named(&names, role)).await?,
            }
            self.cache.forget();
            scene = self.look(goal, id, &names, workload).await?;
        }
        let message = "its containers change faster than they can be put in order".to_owned();
        Err(RuntimeError::Refused { action: "change", instance: id.to_string(), message, source: None })
    }

    async fn look(
        &self,
        goal: Goal,
        id: &InstanceId,
        names: &Names,
        workload: Option<&Workload>,
    ) -> Result<Scene, RuntimeError> {
        let all = self.cache.containers(&self.docker).await.map_err(engine("look at the containers", id))?;
        let mut scene = Scene { cast: Cast::of(id, names, &all), ..Scene::default() };
        if goal != Goal::Stop && goal != Goal::Remove {
            scene.cast.own(id)?;
        }
        let Some(workload) = workload else { return Ok(scene) };
        for (part, fit) in [(&scene.cast.active, &mut scene.fits.active), (&scene.cast.next, &mut scene.fits.next)] {
            let Some(part) = part else { continue };
            let Some(container) = self.inspect(id, part).await? else { continue };
            let mut changes = self.differences(workload, names, &container).await?;
            self.set_effects(&mut changes);
            *fit = changes.iter().all(|change| change.effect != Effect::Recreate);
            scene.containers.insert(part.id.clone(), container);
        }
        Ok(scene)
    }

    /// Makes a container and everything it needs. Nothing is stopped for it, so whatever is missing is told in time. None where somebody
    /// removed it at once.
    async fn create(
        &self,
        workload: &Workload,
        names: &Names,
        role: Role,
    ) -> Result<Option<(Part, ContainerInspectResponse)>, RuntimeError> {
        let id = &workload.id;
        let image = self.cache.image(&self.docker, &workload.image).await.map_err(engine("look at its image", id))?;
        let image = image.ok_or_else(|| RuntimeError::ImageUnavailable {
            instance: id.to_string(),
            image: workload.image.clone(),
            message: "the engine does not have it".to_owned(),
        })?;
        let wanted_networks = spec::networks(workload);
        self.networks.ensure(&self.docker, id, &wanted_networks).await?;
        volumes::ensure(&self.docker, workload, names, &self.home(names), &self.state_id, self.place == Place::Beside)
            .await?;
        let file = self.write_secrets(workload, names)?;
        let mut body = spec::container(workload, names, Some(&image), file.as_deref());
        let asked = Fields::asked(&body, Some(&image), true);
        let mut labels = Labels {
            id: id.clone(),
            hash: workload.hash.clone(),
            recreate_hash: spec::recreate_hash(&asked),
            state: self.state_id.clone(),
            image_digest: image.digest.clone(),
            tolerated: Default::default(),
        };
        spec::label(&mut body, &labels);
        let name = named(names, role);
        let Some((mut part, mut container)) = self.create_as(name, workload, body.clone()).await? else {
            return Ok(None);
        };
        // An engine that makes something otherwise than asked would be asked again and again: what it cannot do is written down.
        let differences = self.differences(workload, names, &container).await?;
        if !differences.is_empty() {
            for change in &differences {
                tracing::warn!(instance = %id, "this engine does not keep {change}; it goes on without");
            }
            self.remove(id, &part).await?;
            labels.tolerated = differences.into_iter().map(|change| change.field.to_string()).collect();
            spec::label(&mut body, &labels);
            let Some(made) = self.create_as(name, workload, body).await? else { return Ok(None) };
            (part, container) = made;
        }
        self.note_made(names, &part.id);
        Ok(Some((part, container)))
    }

    /// Remembers that a container was made here and not by somebody who took over its labels. Where that is lost, or cannot be kept, what
    /// the engine shows is compared alone.
    fn note_made(&self, names: &Names, container: &str) {
        let home = self.home(names);
        if let Err(error) = std::fs::create_dir_all(&home).and_then(|()| std::fs::write(made(&home, container), "")) {
            tracing::debug!("{} cannot be written: {error}", home.display());
        }
    }

    pub(super) fn was_made_by_us(&self, names: &Names, container: &str) -> bool {
        made(&self.home(names), container).exists()
    }

    async fn create_as(
        &self,
        name: &str,
        workload: &Workload,
        mut body: ContainerCreateBody,
    ) -> Result<Option<(Part, ContainerInspectResponse)>, RuntimeError> {
        let id = &workload.id;
        // Engines before 25 take one network at first.
        if let Some(endpoints) = body.networking_config.as_mut().and_then(|config| config.endpoints_config.as_mut()) {
            endpoints.retain(|name, _| name == super::names::SHARED_NETWORK);
        }
        let options: CreateContainerOptions = CreateContainerOptionsBuilder::new().name(name).build();
        let created =
            self.docker.create_container(Some(options), body).await.map_err(|error| match status(&error) {
                Some(409) => RuntimeError::NameTaken { instance: id.to_string(), what: format!("container {name}") },
                _ => engine("creation of the container", id)(error),
            })?;
        self.cache.forget();
        let part = Part { id: created.id, name: name.to_owned(), runs: false, waits: false };
        self.known().owners.insert(part.id.clone(), id.clone());
        let mut container = self.inspect(id, &part).await?;
        if let Some(made) = &container
            && self.networks.join(&self.docker, id, made, &spec::networks(workload)).await?
        {
            container = self.inspect(id, &part).await?;
        }
        Ok(container.map(|container| (part, container)))
    }

    pub(super) fn write_secrets(&self, workload: &Workload, names: &Names) -> Result<Option<PathBuf>, RuntimeError> {
        if workload.container.secrets != SecretDelivery::File {
            return Ok(None);
        }
        let file = SecretFile::new(&self.home(names), &workload.secret_values());
        file.write(self.users_are_mapped).map_err(|source| RuntimeError::NotWritable {
            instance: workload.id.to_string(),
            path: file.path.display().to_string(),
            source,
        })?;
        Ok(Some(file.path))
    }

    /// Starts a container, of which it may be known what it is.
    async fn start(
        &self,
        id: &InstanceId,
        part: &Part,
        container: Option<ContainerInspectResponse>,
    ) -> Result<Start, RuntimeError> {
        let container = match container {
            Some(container) => Some(container),
            None => self.inspect(id, part).await?,
        };
        // Here and not where it is made: whoever made it may have been killed since, and volumes may be others.
        if let Some(container) = container.filter(owner::is_confined) {
            owner::give(&self.docker, id, &container, self.owns_engine_files).await?;
        }
        let mut outcome = self.docker.start_container(&part.id, None::<StartContainerOptions>).await;
        if let Err(error) = &outcome
            && is_missing(error)
            && said(error).contains("network")
            && let Some(container) = self.inspect(id, part).await?
        {
            self.networks.rejoin(&self.docker, id, &container).await?;
            outcome = self.docker.start_container(&part.id, None::<StartContainerOptions>).await;
        }
        self.cache.forget();
        let Err(error) = outcome else { return Ok(Start::Done) };
        let said = said(&error);
        if said.contains("task") && said.contains("already exists") {
            // An engine that was killed has half started it and cannot tell. One that is made anew is another one to it.
            tracing::warn!(instance = %id, "the engine cannot start {} and it is made anew: {said}", part.name);
            self.remove(id, part).await?;
            return Ok(Start::MadeAnew);
        }
        // An engine that did not answer has refused nothing.
        if let Some(status) = status(&error).filter(|status| *status != 404) {
            self.exits.note_refused(&part.id, status);
        }
        if said.contains("port is already allocated") || said.contains("address already in use") {
            let wanted = self.inspect(id, part).await?.as_ref().and_then(super::ports::published);
            if let Some(wanted) = wanted {
                let holder = super::ports::listener(wanted).await;
                return Err(RuntimeError::PortTaken { instance: id.to_string(), port: wanted.port(), holder });
            }
        }
        Err(classify("start", id.to_string(), error))
    }

    async fn stop(&self, id: &InstanceId, part: &Part) -> Result<(), RuntimeError> {
        let mut outcome = self.docker.stop_container(&part.id, None::<StopContainerOptions>).await;
        if outcome.as_ref().is_err_and(|error| said(error).contains("paused")) {
            self.docker.unpause_container(&part.id).await.map_err(engine("end of its pause", id))?;
            outcome = self.docker.stop_container(&part.id, None::<StopContainerOptions>).await;
        }
        unless_missing(outcome).map_err(engine("stop", id))
    }

    async fn remove(&self, id: &InstanceId, part: &Part) -> Result<(), RuntimeError> {
        // Anonymous volumes go along; named ones stay, with or without this.
        let options: RemoveContainerOptions = RemoveContainerOptionsBuilder::new().v(true).build();
        let outcome = self.docker.remove_container(&part.id, Some(options)).await;
        self.exits.forget(&part.id);
        // One too many does no harm.
        let _ = std::fs::remove_file(made(&self.home(&Names::of(id)?), &part.id));
        match outcome {
            // Somebody else is removing it.
            Err(error) if status(&error) == Some(409) && said(&error).contains("already in progress") => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                Ok(())
            }
            outcome => unless_missing(outcome).map_err(engine("removal of a container", id)),
        }
    }

    async fn rename(&self, id: &InstanceId, part: &Part, name: &str) -> Result<(), RuntimeError> {
        let options: RenameContainerOptions = RenameContainerOptionsBuilder::new().name(name).build();
        self.docker.rename_container(&part.id, options).await.map_err(|error| match status(&error) {
            Some(409) => RuntimeError::NameTaken { instance: id.to_string(), what: format!("container {name}") },
            _ => engine("renaming of a container", id)(error),
        })
    }

    /// Removes files with secrets that no container of the instance needs.
    pub(super) async fn tidy_secrets(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let names = Names::of(id)?;
        self.cache.forget();
        let all = self.cache.containers(&self.docker).await.map_err(engine("look at the containers", id))?;
        let mut used = std::collections::BTreeSet::new();
        for part in Cast::of(id, &names, &all).parts() {
            let Some(container) = self.inspect(id, part).await? else { continue };
            used.extend(container.mounts.iter().flatten().filter_map(|mount| mount.source.clone().map(PathBuf::from)));
        }
        secrets::tidy(&self.home(&names), &used);
        Ok(())
    }

    /// Names the places of data that are not ours, before the only thing that knows them is removed.
    pub(super) async fn say_what_stays(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let names = Names::of(id)?;
        let all = self.cache.containers(&self.docker).await.map_err(engine("look at the containers", id))?;
        if let Some(part) = Cast::of(id, &names, &all).active
            && let Some(container) = self.inspect(id, &part).await?
        {
            for place in volumes::elsewhere(container.mounts.as_deref().unwrap_or_default(), &names) {
                tracing::info!(instance = %id, "{place} stays: the document named it, so it is not removed with the instance");
            }
        }
        Ok(())
    }
}

fn named(names: &Names, role: Role) -> &str {
    match role {
        Role::Active => &names.active,
        Role::Next => &names.next,
        Role::Former => &names.former,
    }
}

/// A file beside the secrets of an instance that says that a container was made here.
fn made(home: &Path, container: &str) -> PathBuf {
    home.join(format!("made-{container}"))
}
