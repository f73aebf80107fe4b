//! Decisions as a table: the scene on the left, the action and the condition on the right.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::api::{DOCUMENT_PROBLEM, MaiInstance, MaiInstanceStatus, Reason, Rejected};
use crate::core::{
    Blocked, Cause, Change, Component, Exit, Fault, Field, InstanceId, Memory, ObservedJobs, Platform, Presence,
    Readiness, Retained,
};
use crate::fleet::KnownCounts;
use crate::fleet::keys::KeyState;
use crate::reconcile::{FleetTurn, Generated, desired};

mod backup;
mod cluster;
mod counts;
mod deletion;
mod drill;
mod exits;
mod key;
mod restore;
mod restore_meanwhile;
mod upgrade;
mod upgrade_return;
mod upgrade_trial;
mod upgrade_turn;

const NOW: i64 = 1_000_000;

fn at(seconds_ago: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds_ago).unwrap()
}

fn instance(spec: Value) -> Box<MaiInstance> {
    let mut full = json!({"displayName": "A", "expose": {"port": 8001}});
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let document = json!({"apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": "abc", "generation": 3}, "spec": full});
    serde_json::from_value(crate::api::check(&document, None, None).unwrap()).unwrap()
}

fn workload(instance: &MaiInstance) -> Workload {
    let id = InstanceId { namespace: "default".into(), name: "abc".into(), uid: "1".into() };
    desired(instance, id, &BTreeMap::new(), &Generated::new("key".to_owned().into()), &Platform::PROCESS).unwrap()
}

#[derive(Clone)]
struct Scene {
    /// In a box, since tables hold many scenes on the stack of a test.
    instance: Box<MaiInstance>,
    presence: Presence,
    changes: Vec<Change>,
    auxiliary: Vec<Change>,
    retained: Option<Retained>,
    image: Option<String>,
    missing: Option<String>,
    last_exit: Option<Exit>,
    port_holder: Option<String>,
    maintenance: Option<String>,
    jobs: ObservedJobs,
    jobs_running: usize,
    fleet: FleetTurn,
    backup_corrected: bool,
    counts: Option<KnownCounts>,
    memory: Memory,
    previous: MaiInstanceStatus,
    blocked: Option<Blocked>,
    platform: Platform,
    components: Vec<Component>,
    key: KeyState,
}

impl Scene {
    fn new(presence: Presence) -> Self {
        Self {
            instance: instance(json!({})),
            presence,
            changes: Vec::new(),
            auxiliary: Vec::new(),
            retained: None,
            image: None,
            missing: None,
            last_exit: None,
            port_holder: None,
            maintenance: None,
            jobs: ObservedJobs::default(),
            jobs_running: 0,
            fleet: FleetTurn::Free,
            backup_corrected: false,
            counts: None,
            memory: Memory::default(),
            previous: MaiInstanceStatus::default(),
            blocked: None,
            platform: Platform::PROCESS,
            components: Vec::new(),
            key: KeyState::default(),
        }
    }

    fn running(readiness: Readiness, started_ago: i64) -> Self {
        Self::new(Presence::Running { since: at(started_ago), readiness })
    }

    /// The server differs from what is declared.
    fn differs(mut self) -> Self {
        assert!(matches!(self.presence, Presence::Running { .. } | Presence::Stopped));
        self.changes = changes();
        self
    }

    /// An auxiliary object differs from what is declared.
    fn differs_in_auxiliary(mut self) -> Self {
        self.auxiliary = auxiliary();
        self
    }

    fn replaced(mut self) -> Self {
        self.retained = Some(Retained { hash: "former".into() });
        self
    }

    fn rejected(mut self) -> Self {
        self.memory.rejected = Some(Rejected { hash: workload(&self.instance).rollout_hash(), why: "boom".into() });
        self
    }

    fn removed(mut self) -> Self {
        self.memory.removed = true;
        self
    }

    fn missing(mut self) -> Self {
        self.missing = Some("image a:1".into());
        self
    }

    fn spec(mut self, spec: Value) -> Self {
        self.instance = instance(spec);
        self
    }

    fn deleted(mut self) -> Self {
        self.instance.metadata.deletion_timestamp = Some(Time(at(1)));
        self
    }

    fn exited(mut self, seconds_ago: i64, code: i32) -> Self {
        self.last_exit =
            Some(Exit { at: at(seconds_ago), code: Some(code), signal: None, log_tail: vec!["boom".into()] });
        self
    }

    fn failures(mut self, failures: u32, counted_ago: i64) -> Self {
        self.memory = Memory { failures, counted_exit: Some(at(counted_ago)), ..Memory::default() };
        self
    }

    fn observed(&self) -> Observed {
        Observed {
            presence: self.presence.clone(),
            changes: [self.changes.as_slice(), &self.auxiliary].concat(),
            image: self.image.clone(),
            missing: self.missing.clone(),
            retained: self.retained.clone(),
            last_exit: self.last_exit.clone(),
            port_holder: self.port_holder.clone(),
            components: self.components.clone(),
            maintenance: self.maintenance.clone(),
            jobs: self.jobs.clone(),
        }
    }

    fn decide(&self) -> Decision {
        let workload = workload(&self.instance);
        let observed = self.observed();
        decide(&Facts {
            instance: &self.instance,
            desired: self.blocked.as_ref().map_or(Ok(&workload), Err),
            observed: Ok(&observed),
            memory: &self.memory,
            previous: &self.previous,
            platform: self.platform,
            now: at(0),
            jobs_running: self.jobs_running,
            fleet: self.fleet.clone(),
            counts: self.counts.clone(),
            backup_problem: None,
            backup_corrected: self.backup_corrected,
            random: 42,
            key: self.key.clone(),
        })
    }
}

fn changes() -> Vec<Change> {
    vec![Change { field: Field::Env("A".into()), effect: Effect::Recreate, from: "1".into(), to: "2".into() }]
}

fn auxiliary() -> Vec<Change> {
    let field = Field::Object { kind: "Service", name: "mai-abc".into() };
    vec![Change { field, effect: Effect::Auxiliary, from: "missing".into(), to: "as declared".into() }]
}

fn stopped() -> Presence {
    Presence::Stopped
}

fn condition(decision: &Decision, kind: &str) -> (String, String) {
    let condition = decision.status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (condition.status.clone(), condition.reason.clone())
}

fn ready() -> Readiness {
    Readiness::Ready { version: Some("0.1.0".into()) }
}

fn starting() -> Readiness {
    Readiness::Starting { detail: "connection refused".into() }
}

#[test]
fn each_scene_has_one_next_action() {
    let stop = |why: &str| Action::Stop(why.to_owned());
    let cases: Vec<(&str, Scene, Action, &str, &str)> = vec![
        ("nothing runs", Scene::new(Presence::Absent), Action::Start, "False", "Starting"),
        ("just started", Scene::running(starting(), 1), Action::Wait, "False", "Starting"),
        ("ready", Scene::running(ready(), 5), Action::Wait, "True", "Ready"),
        (
            "not ready in time",
            Scene::running(starting(), 61),
            stop("not ready 60s after its start: connection refused"),
            "False",
            "Unhealthy",
        ),
        (
            "probe fails once",
            Scene::running(Readiness::Failing { probes: 1, detail: "503".into() }, 99),
            Action::Wait,
            "False",
            "Unhealthy",
        ),
        (
            "probe fails thrice",
            Scene::running(Readiness::Failing { probes: 3, detail: "503".into() }, 99),
            stop("3 probes in a row failed: 503"),
            "False",
            "Unhealthy",
        ),
        ("spec changed", Scene::running(ready(), 99).differs(), Action::Recreate(changes()), "False", "Replacing"),
        (
            "spec changed, image not there",
            Scene::running(ready(), 99).differs().missing(),
            Action::Prepare("image a:1".into()),
            "False",
            "Preparing",
        ),
        (
            "spec changed and rejected before",
            Scene::running(ready(), 99).differs().rejected(),
            Action::Wait,
            "False",
            "RolledBack",
        ),
        (
            "rolled back, and failing",
            Scene::running(Readiness::Failing { probes: 3, detail: "503".into() }, 99).differs().rejected(),
            stop("3 probes in a row failed: 503"),
            "False",
            "Unhealthy",
        ),
        (
            "image not there",
            Scene::new(Presence::Absent).missing(),
            Action::Prepare("image a:1".into()),
            "False",
            "Preparing",
        ),
        ("replacement ready", Scene::running(ready(), 5).replaced(), Action::Commit, "True", "Ready"),
        ("replacement not ready yet", Scene::running(starting(), 5).replaced(), Action::Wait, "False", "Starting"),
        (
            "replacement never ready",
            Scene::running(starting(), 61).replaced(),
            Action::RollBack("not ready 60s after its start: connection refused".into()),
            "False",
            "RolledBack",
        ),
        (
            "replacement ended",
            Scene::new(stopped()).replaced().exited(0, 1),
            Action::RollBack("the server ended with exit code 1; its last line was: boom".into()),
            "False",
            "RolledBack",
        ),
        (
            "replacement that the engine starts again",
            Scene::running(starting(), 0).replaced().exited(0, 1),
            Action::RollBack("the server ended with exit code 1; its last line was: boom".into()),
            "False",
            "RolledBack",
        ),
        (
            "rollback interrupted",
            Scene::new(Presence::Absent).replaced().rejected(),
            Action::RollBack("boom".into()),
            "False",
            "RolledBack",
        ),
        ("replacement interrupted", Scene::new(Presence::Absent).replaced(), Action::Start, "False", "Starting"),
        ("stopped by hand", Scene::new(stopped()).exited(0, 0), Action::Resume, "False", "Restarting"),
        ("stopped, then changed", Scene::new(stopped()).differs(), Action::Recreate(changes()), "False", "Starting"),
        (
            "rolled back, then stopped by hand",
            Scene::new(stopped()).differs().rejected(),
            Action::Resume,
            "False",
            "Starting",
        ),
        ("suspended, kept", Scene::new(stopped()).spec(json!({"suspend": true})), Action::Wait, "False", "Suspended"),
        ("deleted, stopped", Scene::new(stopped()).deleted(), Action::Remove, "False", "Deleting"),
        ("first exit", Scene::new(Presence::Absent).exited(0, 1), Action::Start, "False", "Restarting"),
        ("second exit", Scene::new(Presence::Absent).failures(1, 50).exited(0, 1), Action::Wait, "False", "Restarting"),
        ("third exit", Scene::new(Presence::Absent).failures(2, 50).exited(0, 1), Action::Wait, "False", "CrashLoop"),
        (
            "back-off over",
            Scene::new(Presence::Absent).failures(3, 2).exited(2, 1),
            Action::Start,
            "False",
            "Restarting",
        ),
        (
            "data directory not writable",
            Scene::new(Presence::Absent).failures(1, 50).exited(0, 73),
            Action::Wait,
            "False",
            "DataNotWritable",
        ),
        (
            "data of a newer version",
            Scene::new(Presence::Absent).failures(1, 50).exited(0, 65),
            Action::Wait,
            "False",
            "DataTooNew",
        ),
        (
            "data directory in use",
            Scene::new(Presence::Absent).failures(1, 50).exited(0, 75),
            Action::Wait,
            "False",
            "DataInUse",
        ),
        (
            "exit already counted",
            Scene::new(Presence::Absent).failures(4, 1).exited(1, 1),
            Action::Wait,
            "False",
            "CrashLoop",
        ),
        ("former one is ending", Scene::new(Presence::Stopping), Action::Wait, "False", "Stopping"),
        (
            "suspended, runs",
            Scene::running(ready(), 9).spec(json!({"suspend": true})),
            stop("spec.suspend is true"),
            "False",
            "Stopping",
        ),
        (
            "suspended, stopped",
            Scene::new(Presence::Absent).spec(json!({"suspend": true})),
            Action::Wait,
            "False",
            "Suspended",
        ),
        ("deleted, runs", Scene::running(ready(), 9).deleted(), stop("the document was removed"), "False", "Deleting"),
        ("deleted, ending", Scene::new(Presence::Stopping).deleted(), Action::Wait, "False", "Deleting"),
        (
            "deleted, gone, data stays",
            Scene::new(Presence::Absent).removed().deleted(),
            Action::RemoveFinalizer,
            "False",
            "Deleting",
        ),
        (
            "deleted, gone, data goes",
            Scene::new(Presence::Absent).spec(json!({"deletionPolicy": "Delete"})).removed().deleted(),
            Action::RemoveData { and_backups: true },
            "False",
            "Deleting",
        ),
        (
            "deleted while suspended",
            Scene::running(ready(), 9).spec(json!({"suspend": true})).deleted(),
            stop("the document was removed"),
            "False",
            "Deleting",
        ),
    ];
    for (name, scene, step, status, reason) in cases {
        let decision = scene.decide();
        assert_eq!(decision.action, step, "{name}");
        assert_eq!(condition(&decision, "Ready"), (status.to_owned(), reason.to_owned()), "{name}");
        assert_eq!(decision.status.observed_generation, Some(3), "{name}");
        assert!(
            decision.action != Action::Wait
                || decision.requeue_after.is_some()
                || matches!(reason, "Ready" | "Suspended" | "Unhealthy" | "RolledBack"),
            "{name} would be forgotten"
        );
    }
}

#[test]
fn taken_port_stops_nothing_and_is_checked_again() {
    for mut scene in [Scene::new(Presence::Absent), Scene::new(stopped()), Scene::running(ready(), 9).differs()] {
        scene.port_holder = Some("nginx (pid 7)".into());
        let decision = scene.decide();
        assert_eq!(decision.action, Action::Wait);
        assert_eq!(condition(&decision, "Stalled"), ("True".to_owned(), "PortTaken".to_owned()));
        assert!(decision.requeue_after.is_some());
    }
}

#[test]
fn blocked_instance_keeps_its_running_server() {
    let mut scene = Scene::running(ready(), 9);
    scene.blocked = Some(Blocked { reason: Reason::MissingSecret, message: "Secret x is not there".into() });
    let decision = scene.decide();
    assert_eq!(decision.action, Action::Wait);
    assert_eq!(condition(&decision, "Stalled"), ("True".to_owned(), "MissingSecret".to_owned()));
    let ready = decision.status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.message, "Secret x is not there; the server keeps running as declared before");
}

#[test]
fn failed_observation_is_unknown_and_keeps_the_status() {
    let scene = Scene::running(ready(), 9);
    let known = scene.decide();
    let unknown = decide(&Facts {
        instance: &scene.instance,
        desired: Ok(&workload(&scene.instance)),
        observed: Err("the engine does not answer"),
        memory: &known.memory,
        previous: &known.status,
        platform: Platform::PROCESS,
        now: at(-5),
        jobs_running: 0,
        fleet: FleetTurn::Free,
        counts: None,
        backup_problem: None,
        backup_corrected: false,
        random: 0,
        key: KeyState::default(),
    });
    assert_eq!(unknown.action, Action::Wait);
    assert_eq!(condition(&unknown, "Ready"), ("Unknown".to_owned(), "ObserveFailed".to_owned()));
    assert_eq!(unknown.status.version, known.status.version);
    assert_eq!(unknown.memory, known.memory);
}

#[test]
fn second_decision_on_the_same_facts_changes_nothing() {
    for mut scene in [
        Scene::running(ready(), 9),
        Scene::running(starting(), 9),
        Scene::running(Readiness::Failing { probes: 1, detail: "503".into() }, 99),
        Scene::new(Presence::Absent).failures(4, 1).exited(1, 1),
        Scene::new(Presence::Absent).spec(json!({"suspend": true})),
    ] {
        let first = scene.decide();
        scene.previous = first.status.clone();
        scene.memory = first.memory.clone();
        let second = scene.decide();
        assert_eq!((second.status, second.memory), (first.status, first.memory));
    }
}

#[test]
fn broken_document_is_shown_while_the_last_good_one_runs() {
    let mut scene = Scene::running(ready(), 9);
    scene.instance.metadata.annotations =
        Some(BTreeMap::from([(DOCUMENT_PROBLEM.to_owned(), "abc.yaml:3:9: unknown field".to_owned())]));
    let decision = scene.decide();
    assert_eq!(decision.action, Action::Wait);
    assert_eq!(condition(&decision, "Ready"), ("True".to_owned(), "Ready".to_owned()));
    assert_eq!(condition(&decision, "Stalled"), ("True".to_owned(), "InvalidDocument".to_owned()));
    assert_eq!(condition(&decision, "DocumentValid"), ("False".to_owned(), "InvalidDocument".to_owned()));
}

#[test]
fn transition_time_changes_only_with_its_status() {
    let mut scene = Scene::running(ready(), 9);
    let first = scene.decide();
    scene.previous = first.status.clone();
    scene.previous.conditions[0].last_transition_time = Time(at(500));
    let second = scene.decide();
    assert_eq!(second.status.conditions[0].last_transition_time, Time(at(500)));
}
