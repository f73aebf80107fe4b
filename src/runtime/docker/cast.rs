//! Which container plays which part for an instance, told by names and labels alone.

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};

use super::labels::read_owner;
use super::names::Names;
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// A container that carries the uid of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) name: String,
    /// It runs, is paused, or is started again by the engine.
    pub(super) runs: bool,
    /// It ended and waits for the engine to start it again. The engine cannot rename it then.
    pub(super) waits: bool,
}

/// The containers of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cast {
    /// Serves, or is to. It may bear another name, when somebody renamed it.
    pub(super) active: Option<Part>,
    /// Made to take the place of the active one.
    pub(super) next: Option<Part>,
    /// Gave its place up to the active one.
    pub(super) former: Option<Part>,
    /// Ours, under names that mean nothing, beside an active one.
    pub(super) strays: Vec<Part>,
    /// Something else that bears one of the names.
    pub(super) taken: Option<String>,
}

impl Cast {
    /// Gives the parts out.
    pub(super) fn of(id: &InstanceId, names: &Names, all: &[ContainerSummary]) -> Self {
        let mut cast = Self::default();
        for container in all {
            let Some(name) = name(container) else { continue };
            let owner = container.labels.as_ref().and_then(read_owner);
            let ours = owner.as_ref().is_some_and(|owner| owner.uid == id.uid);
            let part = || Part {
                id: container.id.clone().unwrap_or_default(),
                name: name.to_owned(),
                runs: runs(container),
                waits: container.state == Some(ContainerSummaryStateEnum::RESTARTING),
            };
            let place = match name {
                _ if name == names.active => Some(&mut cast.active),
                _ if name == names.next => Some(&mut cast.next),
                _ if name == names.former => Some(&mut cast.former),
                _ => None,
            };
            match place {
                Some(place) if ours => *place = Some(part()),
                Some(_) => {
                    let whose = match owner {
                        Some(owner) if owner.name == id.name && owner.namespace == id.namespace => {
                            " (it was made by mai with another state directory)"
                        }
                        _ => "",
                    };
                    cast.taken = Some(format!("container {name}{whose}"));
                }
                None if ours => cast.strays.push(part()),
                None => {}
            }
        }
        if cast.active.is_none() {
            // One that runs is the one people use.
            let found = cast.strays.iter().position(|stray| stray.runs).or((!cast.strays.is_empty()).then_some(0));
            cast.active = found.map(|index| cast.strays.remove(index));
        }
        cast
    }

    /// Refuses to go on where something else bears one of the names.
    pub(super) fn own(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        match &self.taken {
            Some(what) => Err(RuntimeError::NameTaken { instance: id.to_string(), what: what.clone() }),
            None => Ok(()),
        }
    }

    /// All of them.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.active.iter().chain(&self.next).chain(&self.former).chain(&self.strays)
    }
}

/// The name of a container, without the names that links give it.
pub(super) fn name(container: &ContainerSummary) -> Option<&str> {
    container.names.iter().flatten().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'))
}

pub(super) fn runs(container: &ContainerSummary) -> bool {
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

    fn cast(all: &[ContainerSummary]) -> Cast {
        Cast::of(&id(), &Names::of(&id()).unwrap(), all)
    }

    #[test]
    fn parts_are_given_out_by_uid_and_name() {
        use ContainerSummaryStateEnum::{CREATED, EXITED, RUNNING};
        let found = cast(&[
            container("mai-abc", "1", RUNNING),
            container("mai-abc.next", "1", CREATED),
            container("mai-abc.former", "1", EXITED),
            container("copy", "1", EXITED),
            container("mai-other", "2", RUNNING),
            container("nginx", "", RUNNING),
        ]);
        assert!(found.active.unwrap().runs && !found.next.unwrap().runs && !found.former.unwrap().runs);
        assert_eq!(found.strays.len(), 1);
    }

    #[test]
    fn a_renamed_container_is_still_the_one_that_serves() {
        use ContainerSummaryStateEnum::{EXITED, RUNNING};
        let found = cast(&[container("old", "1", EXITED), container("mine", "1", RUNNING)]);
        assert_eq!((found.active.unwrap().name, found.strays[0].name.as_str()), ("mine".to_owned(), "old"));
    }

    #[test]
    fn what_is_not_ours_is_refused_and_named() {
        use ContainerSummaryStateEnum::EXITED;
        for uid in ["", "2"] {
            let error = cast(&[container("mai-abc", uid, EXITED)]).own(&id()).unwrap_err().to_string();
            assert!(error.starts_with("container mai-abc"), "{error}");
        }
    }
}
