//! The connection to an engine, and what is remembered of its containers.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bollard::Docker;
use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::cache::Cache;
use super::containers::{ContainerRef, InstanceContainers};
use super::error::{failed, is_missing, message};
use super::exits::Exits;
use super::location::Location;
use super::monitor::Monitor;
use super::names::Names;
use super::networks::Networks;
use super::states::States;
use super::volumes::Volumes;
use super::{image, inspect, location};
use crate::core::{InstanceId, Pull, RegistryLogins, Workload};
use crate::runtime::RuntimeError;
use crate::runtime::changes::Changes;

/// Containers started at once. An engine on two to four cores starts them fastest with this many.
const CONCURRENT_STARTS: usize = 8;
/// Containers created at once. A creation takes a tenth of the time of a start, so this many do not
/// slow starts down.
const CONCURRENT_CREATIONS: usize = 2;
/// Servers stopped for their replacements at once. Two keep two cores busy; more would end a little
/// sooner, with each server away for much longer.
const CONCURRENT_REPLACEMENTS: usize = 2;

/// An engine, and what is remembered of its containers.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) docker: Docker,
    /// Without symbolic links, because the engine mounts files from below it.
    pub(super) state_dir: PathBuf,
    /// Values of the label of volumes that keeps two state directories from sharing one by accident.
    pub(super) states: States,
    /// Users inside containers are other users outside.
    pub(super) users_are_mapped: bool,
    /// Location of this process.
    pub(super) location: Location,
    /// This process may change the owner of files in volumes.
    pub(super) owns_engine_files: bool,
    /// The engine does not have the call that updates a running container.
    pub(super) cannot_update: AtomicBool,
    /// Containers whose limits the engine refuses to change as declared.
    pub(super) not_updatable: Mutex<HashSet<String>>,
    /// The engine limits swap. One that does not shows no limit, whatever a container was created
    /// with.
    pub(super) limits_swap: bool,
    pub(super) cache: Arc<Cache>,
    pub(super) changes: Arc<Changes>,
    pub(super) monitor: Monitor,
    pub(super) exits: Exits,
    pub(super) networks: Networks,
    pub(super) creations: Semaphore,
    pub(super) starts: Semaphore,
    pub(super) swaps: Semaphore,
    known: Mutex<Known>,
}

/// Instances seen so far. Lost at a restart, without harm.
#[derive(Debug, Default)]
struct Known {
    /// By uid.
    instances: HashMap<String, InstanceId>,
    /// By container.
    owners: HashMap<String, InstanceId>,
    /// Values to remove from the ends of logs, by uid.
    secrets: HashMap<String, Vec<SecretString>>,
    /// By uid.
    pulls: HashMap<String, PullSettings>,
}

/// Pull policy and registry credentials of the images of an instance.
#[derive(Clone, Debug, Default)]
pub(super) struct PullSettings {
    pub(super) policy: Pull,
    pub(super) registries: RegistryLogins,
}

impl Engine {
    pub(super) async fn new(docker: Docker, state_dir: PathBuf, states: States) -> Result<Self, RuntimeError> {
        let info = docker.info().await.map_err(|error| {
            RuntimeError::Unsupported(format!("the engine does not describe itself: {}", message(&error)))
        })?;
        let security = info.security_options.unwrap_or_default();
        let users_are_mapped =
            security.iter().any(|option| option.contains("name=userns") || option.contains("name=rootless"));
        let location = location::detect(&docker).await;
        let changes = Arc::new(Changes::default());
        Ok(Self {
            docker,
            state_dir,
            states,
            users_are_mapped,
            location,
            owns_engine_files: rustix::process::geteuid().is_root() && !users_are_mapped && location == Location::Host,
            cannot_update: AtomicBool::new(false),
            not_updatable: Mutex::default(),
            limits_swap: info.swap_limit.unwrap_or(true),
            cache: Arc::default(),
            monitor: Monitor::new(Arc::clone(&changes)),
            changes,
            exits: Exits::default(),
            networks: Networks::default(),
            creations: Semaphore::new(CONCURRENT_CREATIONS),
            starts: Semaphore::new(CONCURRENT_STARTS),
            swaps: Semaphore::new(CONCURRENT_REPLACEMENTS),
            known: Mutex::default(),
        })
    }

    /// Probes every container before its first observation is returned.
    pub(super) fn observe_once(mut self) -> Self {
        self.monitor = Monitor::observing_once(Arc::clone(&self.changes));
        self
    }

    /// Pulls the image of a workload as its policy says.
    pub(super) async fn pull(&self, workload: &Workload) -> Result<(), RuntimeError> {
        let outcome = image::pull(&self.docker, workload).await;
        self.cache.forget_image(&workload.image).await;
        outcome.inspect(|()| self.cache.note_pull(&workload.image))
    }

    /// Returns the directory of an instance's files.
    pub(super) fn home(&self, names: &Names) -> PathBuf {
        self.state_dir.join("instances").join(&names.key)
    }

    /// Returns the places of an instance's data.
    pub(super) fn volumes<'a>(&'a self, id: &'a InstanceId, names: &Names) -> Volumes<'a> {
        Volumes {
            docker: &self.docker,
            id,
            home: self.home(names),
            states: &self.states,
            engine_sees_our_files: self.location == Location::Host,
        }
    }

    /// Returns the containers of an instance.
    pub(super) async fn containers(&self, id: &InstanceId, names: &Names) -> Result<InstanceContainers, RuntimeError> {
        let all = self.cache.containers(&self.docker).await.map_err(failed("list of the containers", id))?;
        Ok(InstanceContainers::from_list(id, names, &all))
    }

    /// Returns all of one container; `None` if it was removed meanwhile.
    pub(super) async fn inspect(
        &self,
        id: &InstanceId,
        container: &ContainerRef,
    ) -> Result<Option<bollard::models::ContainerInspectResponse>, RuntimeError> {
        match inspect::inspect_container(&self.docker, &container.id).await {
            Ok(container) => Ok(Some(container)),
            Err(error) if is_missing(&error) => {
                self.cache.forget();
                Ok(None)
            }
            Err(error) => Err(failed("inspection of its container", id)(error)),
        }
    }

    /// Remembers an instance, and the secret values of its workload.
    pub(super) fn note_instance(&self, id: &InstanceId, workload: Option<&Workload>) {
        let mut known = self.known.lock();
        known.instances.insert(id.uid.clone(), id.clone());
        if let Some(workload) = workload {
            let secrets = workload.secret_values().into_values().cloned().collect();
            known.secrets.insert(id.uid.clone(), secrets);
            let pull = PullSettings { policy: workload.container.pull, registries: workload.registries.clone() };
            known.pulls.insert(id.uid.clone(), pull);
        }
    }

    /// Forgets an instance.
    pub(super) fn forget(&self, id: &InstanceId) {
        let mut known = self.known.lock();
        known.instances.remove(&id.uid);
        known.secrets.remove(&id.uid);
        known.pulls.remove(&id.uid);
        known.owners.retain(|_, owner| owner.uid != id.uid);
    }

    /// Returns the secret values of an instance, if its workload was seen.
    pub(super) fn secrets(&self, id: &InstanceId) -> Option<Vec<SecretString>> {
        self.known.lock().secrets.get(&id.uid).cloned()
    }

    /// Returns how images of an instance are pulled, as its workload was last seen.
    pub(super) fn pull_settings(&self, id: &InstanceId) -> PullSettings {
        self.known.lock().pulls.get(&id.uid).cloned().unwrap_or_default()
    }

    /// Returns the instances seen so far, with the directories of their files.
    pub(super) fn homes(&self) -> Vec<(InstanceId, PathBuf)> {
        let known = self.known.lock();
        let home = |id: &InstanceId| Some((id.clone(), self.home(&Names::new(id).ok()?)));
        known.instances.values().filter_map(home).collect()
    }

    /// Remembers the instance of a container.
    pub(super) fn note_owner(&self, container: &str, id: &InstanceId) {
        self.known.lock().owners.entry(container.to_owned()).or_insert_with(|| id.clone());
    }

    /// Returns the instance of a container that was seen before.
    pub(super) fn owner_of(&self, container: &str) -> Option<InstanceId> {
        self.known.lock().owners.get(container).cloned()
    }

    /// Records that the engine went away.
    pub(super) fn note_engine_left(&self) {
        self.exits.note_engine_left(Timestamp::now());
    }

    /// Reports that an instance may have changed.
    pub(super) fn report_change(&self, uid: &str) {
        let id = self.known.lock().instances.get(uid).cloned();
        if let Some(id) = id {
            self.changes.name(&id);
        }
    }

    /// Reports that every instance may have changed.
    pub(super) fn report_all_changed(&self) {
        self.cache.forget();
        self.networks.forget();
        let all: Vec<InstanceId> = self.known.lock().instances.values().cloned().collect();
        for id in all {
            self.changes.name(&id);
        }
    }
}
