//! The containers of an instance and their roles, by names and labels alone.

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};

use super::labels::{JOB, read_owner};
use super::names::Names;
use super::orphans::ORPHANED;
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// A container that carries the uid of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContainerRef {
    pub(super) id: String,
    pub(super) name: String,
    /// It runs, is paused, or is about to be restarted by the engine.
    pub(super) is_running: bool,
    /// It ended and the engine is about to restart it. The engine refuses to rename it meanwhile.
    pub(super) awaits_restart: bool,
}

/// The containers of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct InstanceContainers {
    /// Serves, or is to serve. Its name differs if somebody renamed it.
    pub(super) active: Option<ContainerRef>,
    /// Created to replace the active one.
    pub(super) next: Option<ContainerRef>,
    /// Replaced by the active one.
    pub(super) retained: Option<ContainerRef>,
    /// Surplus containers of the instance, under other names.
    pub(super) surplus: Vec<ContainerRef>,
    /// A foreign container that has one of the names.
    pub(super) foreign: Option<String>,
}

impl InstanceContainers {
    /// Finds the containers of an instance among all of the engine.
    pub(super) fn from_list(id: &InstanceId, names: &Names, all: &[ContainerSummary]) -> Self {
        let mut containers = Self::default();
        for container in all {
            let Some(name) = name(container) else { continue };
            // It works on the data next to a server, and is none.
            if container.labels.as_ref().is_some_and(|labels| labels.contains_key(JOB)) {
                continue;
            }
            let owner = container.labels.as_ref().and_then(read_owner);
            let ours = owner.as_ref().is_some_and(|owner| owner.uid == id.uid);
            let reference = || ContainerRef {
                id: container.id.clone().unwrap_or_default(),
                name: name.to_owned(),
                is_running: is_running(container),
                awaits_restart: container.state == Some(ContainerSummaryStateEnum::RESTARTING),
            };
            let role = match name {
                _ if name == names.active => Some(&mut containers.active),
                _ if name == names.next => Some(&mut containers.next),
                _ if name == names.retained => Some(&mut containers.retained),
                _ => None,
            };
            match role {
                Some(role) if ours => *role = Some(reference()),
                Some(_) => {
                    let whose = match owner {
                        Some(owner) if owner.is_namesake(id) => ORPHANED,
                        _ => "",
                    };
                    containers.foreign = Some(format!("container {name}{whose}"));
                }
                None if ours => containers.surplus.push(reference()),
                None => {}
            }
        }
        if containers.active.is_none() {
            // A running one is the one in use.
            let found = containers
                .surplus
                .iter()
                .position(|container| container.is_running)
                .or((!containers.surplus.is_empty()).then_some(0));
            containers.active = found.map(|index| containers.surplus.remove(index));
        }
        containers
    }

    /// Returns an error if a foreign container has one of the names.
    pub(super) fn check_names(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        match &self.foreign {
            Some(what) => Err(RuntimeError::NameTaken { instance: id.to_string(), what: what.clone() }),
            None => Ok(()),
        }
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &ContainerRef> {
        self.active.iter().chain(&self.next).chain(&self.retained).chain(&self.surplus)
    }
}

/// Returns the name of a container, without the names that links give it.
pub(super) fn name(container: &ContainerSummary) -> Option<&str> {
    container.names.iter().flatten().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'))
}

/// Returns whether a container runs, is paused, or is about to be restarted.
pub(super) fn is_running(container: &ContainerSummary) -> bool {
    use ContainerSummaryStateEnum::{PAUSED, RESTARTING, RUNNING, STOPPING};
    matches!(container.state, Some(RUNNING | PAUSED | RESTARTING | STOPPING))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::runtime::docker::labels;

    fn id() -> InstanceId {
        InstanceId { namespace: "default".into(), name: "abc".into(), uid: "1".into() }
    }

    fn container(name: &str, uid: &str, state: ContainerSummaryStateEnum) -> ContainerSummary {
        let labels = labels::owner(&InstanceId { uid: uid.into(), ..id() }, "s");
        ContainerSummary {
            id: Some(format!("id of {name}")),
            names: Some(vec![format!("/{name}")]),
            state: Some(state),
            labels: (!uid.is_empty()).then(|| labels.into_iter().collect()),
            ..ContainerSummary::default()
        }
    }

    fn find(all: &[ContainerSummary]) -> InstanceContainers {
        InstanceContainers::from_list(&id(), &Names::new(&id()).unwrap(), all)
    }

    #[test]
    fn containers_are_assigned_by_uid_and_name() {
        use ContainerSummaryStateEnum::{CREATED, EXITED, RUNNING};
        let found = find(&[
            container("mai-abc", "1", RUNNING),
            container("mai-abc.next", "1", CREATED),
            container("mai-abc.former", "1", EXITED),
            container("copy", "1", EXITED),
            container("mai-other", "2", RUNNING),
            container("nginx", "", RUNNING),
        ]);
        assert!(
            found.active.unwrap().is_running && !found.next.unwrap().is_running && !found.retained.unwrap().is_running
        );
        assert_eq!(found.surplus.len(), 1);
    }

    #[test]
    fn container_of_a_job_is_no_server_whatever_its_name() {
        use ContainerSummaryStateEnum::RUNNING;
        for name in ["mai-abc.job", "renamed", "mai-abc.next"] {
            let mut job = container(name, "1", RUNNING);
            job.labels.as_mut().unwrap().insert(labels::JOB.to_owned(), "20261130-020000-1f2e3d".to_owned());
            assert_eq!(find(&[job]), InstanceContainers::default(), "{name}");
        }
    }

    #[test]
    fn renamed_container_stays_active() {
        use ContainerSummaryStateEnum::{EXITED, RUNNING};
        let found = find(&[container("old", "1", EXITED), container("mine", "1", RUNNING)]);
        assert_eq!((found.active.unwrap().name, found.surplus[0].name.as_str()), ("mine".to_owned(), "old"));
    }

    #[test]
    fn foreign_container_is_refused_by_name() {
        use ContainerSummaryStateEnum::EXITED;
        for uid in ["", "2"] {
            let error = find(&[container("mai-abc", uid, EXITED)]).check_names(&id()).unwrap_err().to_string();
            assert!(error.starts_with("container mai-abc"), "{error}");
        }
    }
}
