//! Observes an instance: reads its containers from the engine and compares them with its workload.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use jiff::Timestamp;

use super::containers::InstanceContainers;
use super::engine::Engine;
use super::error::failed;
use super::fields::{self, Fields, Named};
use super::labels::Labels;
use super::location::Location;
use super::monitor::RunKey;
use super::names::{Names, SHARED_NETWORK};
use super::secrets::SecretFile;
use super::{exits, image, ports, spec};
use crate::core::{
    Change, Effect, Field, InstanceId, Observed, Presence, Pull, Readiness, Retained, SecretDelivery, Workload,
};
use crate::runtime::readiness::Target;
use crate::runtime::{RuntimeError, maintenance};
use mai_contract::files::SECRETS_FILE;

impl Engine {
    pub(super) async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.note_instance(id, workload);
        let names = Names::new(id)?;
        let all = self.cache.containers(&self.docker).await.map_err(failed("list of the containers", id))?;
        let containers = InstanceContainers::from_list(id, &names, &all);
        let active = match &containers.active {
            Some(reference) => self.inspect(id, reference).await?,
            None => None,
        };
        let (image, missing) = match workload {
            Some(workload) => self.image(workload).await?,
            None => (None, None),
        };
        let retained = match &containers.retained {
            Some(reference) => self.inspect(id, reference).await?,
            None => None,
        };
        let (presence, changes, last_exit) = match &active {
            None => {
                self.monitor.forget(id);
                (Presence::Absent, Vec::new(), None)
            }
            Some(container) => {
                let (presence, changes) = self.presence(id, workload, &names, &containers, container).await?;
                let secrets = self.secrets(id);
                let last_exit = match (&containers.next, secrets) {
                    // Stopped for its replacement, which was interrupted.
                    (Some(_), _) if !matches!(presence, Presence::Running { .. }) => None,
                    // A log is shown only without the known secrets.
                    (_, secrets) => self.exits.last_exit(&self.docker, container, &secrets.unwrap_or_default()).await,
                };
                (presence, changes, last_exit)
            }
        };
        // The retained one serves while names change.
        let serves = [(&containers.active, &active), (&containers.retained, &retained)].into_iter().find_map(
            |(reference, container)| {
                container.as_ref().filter(|_| reference.as_ref().is_some_and(|reference| reference.is_running))
            },
        );
        let own = serves.and_then(ports::published);
        let port_holder = match workload.map(|workload| workload.listen).filter(|wanted| own != Some(*wanted)) {
            Some(wanted) => ports::holder(id, wanted, own, &containers, &all).await,
            None => None,
        };
        for container in containers.all() {
            self.note_owner(&container.id, id);
        }
        if let (Some(workload), Presence::Running { .. }) = (workload, &presence) {
            self.follow_tag(workload);
        }
        let retained = retained.map(|container| Retained { hash: written_hash(&container) });
        let maintenance = maintenance::holder(&self.home(&names));
        let jobs = self.observe_jobs(id, &names, &all).await?;
        Ok(Observed {
            jobs,
            presence,
            changes,
            image,
            missing,
            retained,
            last_exit,
            port_holder,
            maintenance,
            components: Vec::new(),
        })
    }

    /// Returns the declared image, and what of it is missing.
    async fn image(&self, workload: &Workload) -> Result<(Option<String>, Option<String>), RuntimeError> {
        let image = self
            .cache
            .image(&self.docker, &workload.image)
            .await
            .map_err(failed("inspection of its image", &workload.id))?;
        let stale = workload.container.pull == Pull::Always && !self.cache.is_fresh(&workload.image);
        let missing = (image.is_none() || stale).then(|| format!("image {}", workload.image));
        let named = Named { reference: workload.image.clone(), id: image.map(|image| image.id.clone()) };
        Ok((Some(named.to_string()), missing))
    }

    /// Returns the presence of the server, and how it differs from what is declared.
    async fn presence(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
        names: &Names,
        containers: &InstanceContainers,
        container: &ContainerInspectResponse,
    ) -> Result<(Presence, Vec<Change>), RuntimeError> {
        let state = container.state.clone().unwrap_or_default();
        if matches!(state.status, Some(ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::STOPPING)) {
            return Ok((Presence::Stopping, Vec::new()));
        }
        let running = state.running == Some(true);
        let mut changes = match workload {
            Some(workload) => self.differences(workload, names, container).await?,
            None => Vec::new(),
        };
        if !running {
            self.monitor.forget(id);
            changes.iter_mut().for_each(as_of_stopped);
        }
        if workload.is_some() {
            changes.extend(out_of_order(names, containers, state.paused == Some(true)));
        }
        if !running {
            return Ok((Presence::Stopped, changes));
        }
        self.set_effects(container.id.as_deref(), &mut changes);
        // What decides about the server comes first.
        changes.sort_by_key(|change| change.effect == Effect::Auxiliary);
        let since = exits::time(state.started_at.as_deref()).unwrap_or_else(Timestamp::now);
        let readiness = if state.restarting == Some(true) {
            let detail = format!(
                "it ended with exit code {} and the engine starts it again",
                state.exit_code.unwrap_or_default()
            );
            Readiness::Starting { detail }
        } else {
            match self.reachable(container) {
                Some(target) => {
                    let run = RunKey { container: container.id.clone().unwrap_or_default(), since };
                    self.monitor.readiness(id, run, target, workload).await
                }
                None => Readiness::Starting { detail: "its container has no address to ask it at".to_owned() },
            }
        };
        Ok((Presence::Running { since, readiness }, changes))
    }

    /// Returns the addresses of the probes: the published port and the container's own address or,
    /// from inside a container, the latter alone.
    fn reachable(&self, container: &ContainerInspectResponse) -> Option<Target> {
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let address = |name: &str| networks?.get(name)?.ip_address.as_deref().filter(|ip| !ip.is_empty())?.parse().ok();
        let others = || networks.into_iter().flat_map(|networks| networks.keys()).find_map(|name| address(name));
        let own = address(SHARED_NETWORK).or_else(others).map(|ip| SocketAddr::new(ip, mai_contract::http::PORT));
        match self.location {
            Location::Container => own.map(Target::from),
            Location::Host | Location::ContainerOnHostNetwork => {
                ports::published(container).map(|address| Target { address, behind: own })
            }
        }
    }

    /// Returns the differences of a container from its workload.
    pub(super) async fn differences(
        &self,
        workload: &Workload,
        names: &Names,
        container: &ContainerInspectResponse,
    ) -> Result<Vec<Change>, RuntimeError> {
        let image = self
            .cache
            .image(&self.docker, &workload.image)
            .await
            .map_err(failed("inspection of its image", &workload.id))?;
        let values = workload.secret_values();
        let file =
            (workload.container.secrets == SecretDelivery::File).then(|| SecretFile::new(&self.home(names), &values));
        let body = spec::container(workload, names, image.as_deref(), file.as_ref().map(|file| file.path.as_path()));
        let same_image = image.as_ref().is_some_and(|image| Some(&image.id) == container.image.as_ref());
        let desired = Fields::desired(&body, image.as_deref(), same_image);
        let secret_names: BTreeSet<String> = values.keys().map(|name| (*name).to_owned()).collect();
        let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
        let labels = labels.and_then(Labels::read);
        // Some engines add settings to a container at its start. What we created from this very
        // workload and nobody can change afterwards is as desired, whatever the engine shows.
        let is_as_created = labels.as_ref().is_some_and(|labels| {
            image.is_some()
                && labels.recreate_hash == spec::recreate_hash(&Fields::desired(&body, image.as_deref(), true))
                && self.has_marker(names, container.id.as_deref().unwrap_or_default())
        });
        let version = labels.as_ref().map(|labels| labels.comparison.clone()).unwrap_or_default();
        let tolerated = labels.map(|labels| labels.tolerated).unwrap_or_default();
        let mut changes = Vec::new();
        for change in Fields::observed(container).differences(&desired, &secret_names) {
            // Not set by the engine but by somebody: fields that can be changed afterwards.
            if is_as_created && change.effect == Effect::Recreate && !fields::can_change_afterwards(&change.field) {
                continue;
            }
            if !fields::is_compared(&change.field, &version) || change.field == Field::MemorySwap && !self.limits_swap {
                continue;
            }
            if matches!(&change.field, Field::Mount(target) if target == SECRETS_FILE) {
                changes.extend(changed_secrets(container, file.as_ref()));
            } else if !tolerated.contains(&change.field.to_string()) {
                changes.push(change);
            }
        }
        if let Some(file) = file.filter(|file| !file.exists() && mounted(container, SECRETS_FILE) == file.path.to_str())
        {
            let path = file.path.display().to_string();
            changes.push(auxiliary(Field::SecretsFile, "missing", &path));
        }
        Ok(changes)
    }

    /// Pulls a tag that is followed, at its interval, while the server runs.
    fn follow_tag(&self, workload: &Workload) {
        if workload.container.pull != Pull::Always || self.cache.is_fresh(&workload.image) {
            return;
        }
        // Also after a failure, the next check is an interval away.
        self.cache.note_pull(&workload.image);
        let (docker, cache, changes) = (self.docker.clone(), Arc::clone(&self.cache), Arc::clone(&self.changes));
        let workload = workload.clone();
        tokio::spawn(async move {
            match image::pull(&docker, &workload).await {
                Ok(()) => {
                    cache.forget_image(&workload.image).await;
                    changes.name(&workload.id);
                }
                Err(error) => tracing::warn!(instance = %workload.id, "{error}"),
            }
        });
    }
}

fn written_hash(container: &ContainerInspectResponse) -> String {
    let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
    labels.and_then(Labels::read).map(|labels| labels.hash).unwrap_or_default()
}

/// Returns the changes that put names and left-over containers in order.
fn out_of_order(names: &Names, containers: &InstanceContainers, paused: bool) -> Vec<Change> {
    let renamed = containers
        .active
        .iter()
        .filter(|active| active.name != names.active)
        .map(|active| auxiliary(Field::Name, &active.name, &names.active));
    let left = containers
        .next
        .iter()
        .chain(&containers.surplus)
        .map(|reference| auxiliary(Field::LeftOver, &reference.name, "removed"));
    let second = containers
        .retained
        .iter()
        .filter(|retained| retained.is_running)
        .map(|retained| auxiliary(Field::LeftOver, &retained.name, "stopped"));
    let paused = paused.then(|| auxiliary(Field::Paused, "paused", "running"));
    renamed.chain(left).chain(second).chain(paused).collect()
}

/// Sets the effect of a change on a container that does not run: it is started as it is and then
/// changed in place, but the engine cannot mount a file that is missing.
fn as_of_stopped(change: &mut Change) {
    change.effect = match (&change.field, change.effect) {
        (Field::SecretsFile, _) | (_, Effect::Recreate) => Effect::Recreate,
        _ => Effect::InPlace,
    };
}

fn auxiliary(field: Field, from: &str, to: &str) -> Change {
    Change { field, effect: Effect::Auxiliary, from: from.to_owned(), to: to.to_owned() }
}

fn mounted<'a>(container: &'a ContainerInspectResponse, target: &str) -> Option<&'a str> {
    let mount = container.mounts.iter().flatten().find(|mount| mount.destination.as_deref() == Some(target))?;
    mount.source.as_deref()
}

/// Returns the secrets that differ, by the file that the container mounts; no value is shown.
fn changed_secrets(container: &ContainerInspectResponse, asked: Option<&SecretFile>) -> Vec<Change> {
    let old = mounted(container, SECRETS_FILE).map(Path::new).and_then(|path| std::fs::read_to_string(path).ok());
    let names = match (&old, asked) {
        (Some(old), Some(asked)) => asked.changed_from(old),
        _ => Vec::new(),
    };
    let change = |field: Field| Change {
        field,
        effect: Effect::Recreate,
        from: "(a secret)".to_owned(),
        to: "(changed)".to_owned(),
    };
    if names.is_empty() {
        return vec![change(Field::Secrets)];
    }
    names.into_iter().map(|name| change(Field::Env(name))).collect()
}
