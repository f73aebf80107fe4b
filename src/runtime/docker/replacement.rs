//! Decides the next step of replacing a container, from the containers that exist. Nothing is
//! remembered between two steps, so a process that is killed after any of them is continued by the
//! next one.
//!
//! ```text
//! first      create active → start active
//! replace    create next → rename active → rename next → stop retained → start active
//! commit     remove retained
//! roll back  stop active → remove it → rename retained → start it
//! ```
//!
//! Names are changed while the retained container still serves, so that they add no downtime. A
//! container that keeps failing serves nobody and is stopped first.

use super::containers::{ContainerRef, InstanceContainers};

/// State to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The workload serves; the container that served before is retained.
    Replace,
    /// The retained container is removed.
    Commit,
    /// The retained container serves again.
    RollBack,
    /// The existing container serves, as it is.
    Resume,
    /// Nothing runs.
    Stop,
    /// No container is left.
    Remove,
    /// Names are right and left-over containers removed; the server keeps running.
    CleanUp,
}

/// Role of a container that is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CreateRole {
    Active,
    Next,
}

/// Role of a container that is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RenameRole {
    Active,
    Retained,
}

/// One call of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Create the container of the workload.
    Create(CreateRole),
    Start(ContainerRef),
    Stop(ContainerRef),
    Remove(ContainerRef),
    Rename(ContainerRef, RenameRole),
    Done,
}

/// Containers that match the workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UpToDate {
    pub(super) active: bool,
    pub(super) next: bool,
}

/// Returns the next step towards `goal`.
pub(super) fn next_step(goal: Goal, containers: &InstanceContainers, active_name: &str, up_to_date: UpToDate) -> Step {
    match step_towards(goal, containers, active_name, up_to_date) {
        Step::Rename(container, _) if container.awaits_restart => Step::Stop(container),
        step => step,
    }
}

fn step_towards(goal: Goal, containers: &InstanceContainers, active_name: &str, up_to_date: UpToDate) -> Step {
    match goal {
        Goal::Stop => {
            return containers
                .all()
                .find(|container| container.is_running)
                .map_or(Step::Done, |container| Step::Stop(container.clone()));
        }
        Goal::Remove => {
            let first =
                containers.all().find(|container| container.is_running).map(|container| Step::Stop(container.clone()));
            return first
                .or_else(|| containers.all().next().map(|container| Step::Remove(container.clone())))
                .unwrap_or(Step::Done);
        }
        Goal::Replace | Goal::Commit | Goal::RollBack | Goal::Resume | Goal::CleanUp => {}
    }
    // No second server may run on the data, whoever started it.
    let serves_until_named = goal == Goal::Replace && containers.active.is_none();
    let retained = containers.retained.iter().filter(|_| !serves_until_named);
    if let Some(second) =
        containers.surplus.iter().chain(&containers.next).chain(retained).find(|container| container.is_running)
    {
        return Step::Stop(second.clone());
    }
    if let Some(surplus) = containers.surplus.first() {
        return Step::Remove(surplus.clone());
    }
    if let Some(active) = containers.active.as_ref().filter(|active| active.name != active_name) {
        return Step::Rename(active.clone(), RenameRole::Active);
    }
    match goal {
        Goal::Replace => replace(containers, up_to_date),
        Goal::Commit => match containers.retained.as_ref().or(containers.next.as_ref()) {
            Some(container) => Step::Remove(container.clone()),
            None => Step::Done,
        },
        Goal::RollBack => roll_back(containers),
        Goal::Resume => match &containers.active {
            Some(active) if !active.is_running => Step::Start(active.clone()),
            _ => Step::Done,
        },
        Goal::CleanUp => match &containers.next {
            Some(next) => Step::Remove(next.clone()),
            None => Step::Done,
        },
        Goal::Stop | Goal::Remove => Step::Done,
    }
}

fn discard(container: &ContainerRef) -> Step {
    if container.is_running { Step::Stop(container.clone()) } else { Step::Remove(container.clone()) }
}

fn replace(containers: &InstanceContainers, up_to_date: UpToDate) -> Step {
    if let Some(active) = containers.active.as_ref().filter(|_| up_to_date.active) {
        return match &containers.next {
            Some(next) => Step::Remove(next.clone()),
            None if active.is_running => Step::Done,
            None => Step::Start(active.clone()),
        };
    }
    match &containers.next {
        // Its name is free.
        None if containers.active.is_none() && containers.retained.is_none() => Step::Create(CreateRole::Active),
        None => Step::Create(CreateRole::Next),
        Some(next) if !up_to_date.next => Step::Remove(next.clone()),
        Some(next) => match (&containers.active, &containers.retained) {
            // The active one was never ready, or nothing would be retained, so the retained one is
            // kept.
            (Some(active), Some(_)) => discard(active),
            (Some(active), None) => Step::Rename(active.clone(), RenameRole::Retained),
            (None, _) => Step::Rename(next.clone(), RenameRole::Active),
        },
    }
}

fn roll_back(containers: &InstanceContainers) -> Step {
    if let Some(next) = &containers.next {
        return Step::Remove(next.clone());
    }
    match (&containers.active, &containers.retained) {
        (Some(active), Some(_)) => discard(active),
        (None, Some(retained)) => Step::Rename(retained.clone(), RenameRole::Active),
        (Some(active), None) if !active.is_running => Step::Start(active.clone()),
        (Some(_) | None, None) => Step::Done,
    }
}

#[cfg(test)]
#[path = "replacement_tests.rs"]
mod tests;
