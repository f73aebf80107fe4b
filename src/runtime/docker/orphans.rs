//! Containers and volumes that mai made for an instance with another state directory. Their labels
//! name the instance and that directory, so a new one can adopt them without touching them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::ListVolumesOptions;
use mai_contract::environment::WEBUI_SECRET_KEY;
use mai_contract::files::SECRETS_FILE;
use mai_contract::secrets_file;
use secrecy::SecretString;

use super::error::runtime_error;
use super::labels::{read_owner, read_state};
use super::names::Names;
use super::states::States;
use super::{DockerOptions, connect, containers, creation, inspect};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// Added to the name of an object of the same instance with the label of another state directory.
pub(super) const ORPHANED: &str =
    " (mai made it with another state directory; `mai adopt-orphans DIR NAME` shows what it would adopt)";

/// The objects of one instance that another state directory left.
#[derive(Clone, Debug)]
pub struct OrphanedInstance {
    /// The instance, with the uid that its containers carry, or else its volumes.
    pub id: InstanceId,
    /// Its containers and volumes, as text.
    pub objects: Vec<String>,
    /// The key that signs sessions and seals stored keys, where a container still has it.
    pub session_key: Option<SecretString>,
    /// Where its state directory was, as far as its containers say or `places` hold it.
    pub state_dirs: BTreeSet<PathBuf>,
    /// Ids of the state directories that created it.
    states: BTreeSet<String>,
    /// Ids of its containers.
    containers: Vec<String>,
    /// All of it was adopted before.
    pub is_adopted: bool,
}

/// The orphans on an engine, as one state directory sees them.
#[derive(Debug)]
pub struct Orphans {
    docker: Docker,
    state_dir: PathBuf,
    states: States,
}

impl Orphans {
    /// Connects to the engine. The state directory need not exist.
    pub async fn open(options: DockerOptions) -> Result<Self, RuntimeError> {
        let docker = connect::connect(options.host.as_deref()).await?;
        let states = States::read(&options.state_dir);
        Ok(Self { docker, state_dir: options.state_dir, states })
    }

    /// Returns what other state directories left of these instances, as (namespace, name). `places`
    /// are directories that may hold those state directories.
    pub async fn find(
        &self,
        wanted: &BTreeSet<(String, String)>,
        places: &[PathBuf],
    ) -> Result<Vec<OrphanedInstance>, RuntimeError> {
        let mut found: BTreeMap<(String, String), OrphanedInstance> = BTreeMap::new();
        let failed = |what: &'static str| move |error| runtime_error(what, "orphans".to_owned(), error);
        let all = inspect::list_containers(&self.docker).await.map_err(failed("list of the containers"))?;
        for container in &all {
            let Some(labels) = &container.labels else { continue };
            let (Some(owner), Some(state)) = (read_owner(labels), read_state(labels)) else { continue };
            let Some(part) = self.part(&mut found, wanted, &owner, state) else { continue };
            let runs = if containers::is_running(container) { "runs" } else { "stopped" };
            part.objects.push(format!("container {} ({runs})", containers::name(container).unwrap_or_default()));
            if part.containers.is_empty() {
                part.id.uid.clone_from(&owner.uid);
            } else if part.id.uid != owner.uid {
                return Err(RuntimeError::Unsupported(format!(
                    "two documents had containers of the name {owner}: {}; remove those that do not serve",
                    part.objects.join(", ")
                )));
            }
            let id = container.id.clone().unwrap_or_default();
            let inspected = inspect::inspect_container(&self.docker, &id).await.map_err(failed("inspection"))?;
            part.containers.push(id);
            part.state_dirs.extend(state_directory(&inspected));
            part.session_key = part.session_key.take().or_else(|| session_key(&inspected));
        }
        let listed = self.docker.list_volumes(None::<ListVolumesOptions>).await;
        for volume in listed.map_err(failed("list of the volumes"))?.volumes.unwrap_or_default() {
            let (Some(owner), Some(state)) = (read_owner(&volume.labels), read_state(&volume.labels)) else { continue };
            let Some(part) = self.part(&mut found, wanted, &owner, state) else { continue };
            part.objects.push(format!("volume {}", volume.name));
        }
        for part in found.values_mut() {
            let inside = places.iter().flat_map(|place| std::fs::read_dir(place).into_iter().flatten().flatten());
            let candidates = places.iter().cloned().chain(inside.map(|entry| entry.path()));
            part.state_dirs.extend(candidates);
            part.state_dirs.retain(|directory| part.states.contains(&States::read(directory).own));
        }
        Ok(found.into_values().collect())
    }

    /// Returns the entry of an object's instance, unless it is not wanted or has the label of this
    /// state directory.
    fn part<'a>(
        &self,
        found: &'a mut BTreeMap<(String, String), OrphanedInstance>,
        wanted: &BTreeSet<(String, String)>,
        owner: &InstanceId,
        state: &str,
    ) -> Option<&'a mut OrphanedInstance> {
        let key = (owner.namespace.clone(), owner.name.clone());
        let is_own = state == self.states.own && self.states.own(owner, Some(state));
        if !wanted.contains(&key) || is_own {
            return None;
        }
        let part = found.entry(key).or_insert_with(|| OrphanedInstance {
            id: owner.clone(),
            objects: Vec::new(),
            session_key: None,
            state_dirs: BTreeSet::new(),
            states: BTreeSet::new(),
            containers: Vec::new(),
            is_adopted: true,
        });
        part.states.insert(state.to_owned());
        part.is_adopted &= self.states.own(owner, Some(state));
        Some(part)
    }

    /// Records that the objects of an instance belong to this state directory and no longer to
    /// `former`. They stay as they are.
    pub fn adopt(&mut self, orphan: &OrphanedInstance, former: Option<&Path>) -> Result<(), RuntimeError> {
        let names = Names::new(&orphan.id)?;
        let unusable = |source| RuntimeError::NotWritable {
            instance: orphan.id.to_string(),
            path: self.state_dir.display().to_string(),
            source,
        };
        if let Some(former) = former {
            States::read(former).give_away(former, &orphan.id).map_err(unusable)?;
        }
        let mut states = States::read_or_create(&self.state_dir).map_err(unusable)?;
        let home = self.state_dir.join("instances").join(names.key);
        for container in &orphan.containers {
            // What its engine added at its creation is no difference.
            creation::write_marker_file(&home, container).map_err(unusable)?;
        }
        states.adopt(&self.state_dir, &orphan.id, &orphan.states).map_err(unusable)?;
        self.states = states;
        Ok(())
    }
}

/// Returns the state directory that a container's secrets are mounted from.
fn state_directory(container: &ContainerInspectResponse) -> Option<PathBuf> {
    let mount = secrets_mount(container)?;
    // DIRECTORY/instances/NAME/secrets-HASH.env
    Path::new(mount).ancestors().nth(3).map(Path::to_owned)
}

fn secrets_mount(container: &ContainerInspectResponse) -> Option<&str> {
    let mut mounts = container.mounts.iter().flatten();
    mounts.find(|mount| mount.destination.as_deref() == Some(SECRETS_FILE))?.source.as_deref()
}

/// Returns the session key of a container: from its environment, from the file that it mounts, or,
/// where that was removed with its directory, from the server that still has it open.
fn session_key(container: &ContainerInspectResponse) -> Option<SecretString> {
    let variables = container.config.as_ref().and_then(|config| config.env.as_ref());
    let in_environment = variables.into_iter().flatten().find_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        (name == WEBUI_SECRET_KEY).then(|| value.to_owned())
    });
    let process = container.state.as_ref().and_then(|state| state.pid).filter(|pid| *pid > 0);
    let seen_by_server = process.map(|pid| PathBuf::from(format!("/proc/{pid}/root{SECRETS_FILE}")));
    let mut files = secrets_mount(container).map(PathBuf::from).into_iter().chain(seen_by_server);
    let in_file =
        || files.find_map(|file| secrets_file::decode(&std::fs::read_to_string(file).ok()?).remove(WEBUI_SECRET_KEY));
    in_environment.or_else(in_file).filter(|key| !key.is_empty()).map(SecretString::from)
}
