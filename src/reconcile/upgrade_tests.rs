//! Upgrades of a fleet against servers, jobs and a record that are kept in memory: by one reconciler,
//! and by one that is replaced before each step.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use mai_contract::job::{BackupReport, DestinationReport, Order, Outcome, RestoreReport, StoreResult};
use parking_lot::Mutex;
use serde_json::json;

use super::jobs::tests::{Secrets, Written, reconciler};
use super::reconciler::Reconciler;
use crate::api::{MaiInstance, RestoreStatus, UpgradeStatus, UpgradeStep};
use crate::core::{
    Action, Change, Effect, Field, InstanceId, Job, JobState, Observed, ObservedJob, ObservedJobs, Platform, Presence,
    Readiness, Retained, Workload,
};
use crate::runtime::{Apply, Observe, RuntimeError};

/// Image that never becomes ready for long.
const BAD: &str = "bad:1";
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A server, its data and its job.
#[derive(Clone, Debug)]
struct Machine {
    image: String,
    retained: Option<String>,
    runs: bool,
    /// Image that wrote the data last.
    data: String,
    restored: Option<String>,
    job: Option<(String, Outcome)>,
}

#[derive(Default)]
struct Machines(Mutex<HashMap<String, Machine>>);

impl Machines {
    fn with<T>(&self, id: &InstanceId, change: impl FnOnce(&mut Machine) -> T) -> T {
        let new = || Machine {
            image: "good:1".into(),
            retained: None,
            runs: true,
            data: "good:1".into(),
            restored: None,
            job: None,
        };
        change(self.0.lock().entry(id.uid.clone()).or_insert_with(new))
    }
}

impl Observe for Arc<Machines> {
    fn platform(&self) -> Platform {
        Platform::DOCKER
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        let image = workload.map(|workload| workload.image.clone()).unwrap();
        let machine = self.with(id, |machine| {
            if machine.runs {
                machine.data.clone_from(&machine.image);
            }
            machine.clone()
        });
        let readiness = match machine.image.as_str() {
            BAD => Readiness::Failing { probes: 9, detail: "503".into() },
            _ => Readiness::Ready { version: None },
        };
        let change =
            Change { field: Field::Image, effect: Effect::Recreate, from: machine.image.clone(), to: image.clone() };
        let current = machine.job.map(|(name, outcome)| ObservedJob { name, state: JobState::Ended(outcome) });
        Ok(Observed {
            presence: match machine.runs {
                true => Presence::Running { since: Timestamp::now(), readiness },
                false => Presence::Stopped,
            },
            changes: if machine.image == image { Vec::new() } else { vec![change] },
            image: Some(image),
            missing: None,
            retained: machine.retained.map(|hash| Retained { hash }),
            last_exit: None,
            port_holder: None,
            components: Vec::new(),
            maintenance: None,
            jobs: ObservedJobs { current, ..ObservedJobs::default() },
        })
    }
}

impl Apply for Arc<Machines> {
    async fn apply(&self, id: &InstanceId, action: &Action, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        self.with(id, |machine| match action {
            Action::Recreate(_) => {
                machine.retained.get_or_insert(machine.image.clone());
                (machine.image, machine.runs) = (workload.unwrap().image.clone(), true);
            }
            Action::Commit => machine.retained = None,
            Action::RollBack(_) => (machine.image, machine.runs) = (machine.retained.take().unwrap(), true),
            Action::Stop(_) => machine.runs = false,
            Action::Resume | Action::Start => machine.runs = true,
            other => panic!("{other}"),
        });
        Ok(())
    }

    async fn start_job(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        self.with(id, |machine| {
            assert!(machine.job.is_none(), "one job at a time");
            let outcome = match &job.order {
                Order::Backup(order) if order.image.as_deref() != Some(&machine.data) => {
                    panic!("the data was not written by {:?}", order.image)
                }
                Order::Backup(order) => Outcome::Backup(BackupReport {
                    id: order.id.clone(),
                    taken_at: Timestamp::now(),
                    data_bytes: 1,
                    archive_bytes: 1,
                    files: 1,
                    databases: 0,
                    destinations: vec![DestinationReport {
                        name: "backups".into(),
                        result: StoreResult::Verified,
                        kept: 1,
                        removed: 0,
                        newest_verified: None,
                        retention_problem: None,
                    }],
                    remarks: Vec::new(),
                }),
                Order::Restore(order) => {
                    machine.restored = Some("good:1".into());
                    Outcome::Restored(RestoreReport {
                        id: order.id.clone(),
                        backup: None,
                        taken_at: None,
                        data_bytes: 1,
                        files: 1,
                        databases: 0,
                        replaces_data: true,
                        remarks: Vec::new(),
                    })
                }
                Order::Swap(_) => {
                    assert!(!machine.runs, "data is replaced under a server");
                    machine.data = machine.restored.take().unwrap();
                    Outcome::Swapped
                }
                Order::Drill(_) => panic!("no drill is due"),
            };
            machine.job = Some((job.name.clone(), outcome));
        });
        Ok(())
    }

    async fn remove_job(&self, id: &InstanceId, name: &str, _: &Outcome) -> Result<(), RuntimeError> {
        self.with(id, |machine| machine.job.take_if(|(job, _)| job == name));
        Ok(())
    }

    async fn answer_restore(&self, _: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        panic!("nobody asked for {}", end.id)
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        stream::pending().boxed()
    }
}

/// A fleet and its reconciler.
struct Fleet {
    machines: Arc<Machines>,
    written: Arc<Written>,
    instances: Vec<MaiInstance>,
    reconciler: Reconciler<Arc<Secrets>, Arc<Machines>, Arc<Written>>,
}

impl Fleet {
    /// All instances declare an image.
    fn declares(image: &str) -> Self {
        let instances = NAMES.iter().map(|name| instance(name, image)).collect();
        Self::restarted(&Arc::default(), &Arc::default(), instances)
    }

    fn restarted(machines: &Arc<Machines>, written: &Arc<Written>, instances: Vec<MaiInstance>) -> Self {
        let secrets = Arc::new(Secrets { is_complete: AtomicBool::new(true), ..Secrets::default() });
        let reconciler = reconciler(machines, &secrets, written, &instances);
        Self { machines: Arc::clone(machines), written: Arc::clone(written), instances, reconciler }
    }

    /// Reconciles each instance once, and returns the steps of their upgrades.
    async fn pass(&self) -> Vec<Option<UpgradeStep>> {
        for instance in &self.instances {
            self.reconciler.reconcile(instance).await.unwrap();
        }
        NAMES.iter().map(|name| self.upgrade(name).map(|upgrade| upgrade.step)).collect()
    }

    fn upgrade(&self, name: &str) -> Option<UpgradeStatus> {
        self.written.status(name).upgrade
    }

    fn machine(&self, name: &str) -> Machine {
        self.machines.0.lock()[name].clone()
    }
}

fn instance(name: &str, image: &str) -> MaiInstance {
    let port = 8000 + u16::from(name.as_bytes()[0]);
    serde_json::from_value(json!({
        "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance",
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "generation": 1, "creationTimestamp": "2020-01-01T00:00:00Z",
        },
        "spec": {"displayName": "A", "image": image, "expose": {"port": port}, "upgrade": {"settle": "0s"}},
    }))
    .unwrap()
}

fn count(steps: &[Option<UpgradeStep>], wanted: impl Fn(UpgradeStep) -> bool) -> usize {
    steps.iter().flatten().filter(|step| wanted(**step)).count()
}

#[tokio::test]
async fn fleet_gets_an_image_one_first_and_then_two_at_a_time() {
    let fleet = Fleet::declares("good:2");
    let mut completed = 0;
    for _ in 0..60 {
        let steps = fleet.pass().await;
        let most = if completed == 0 { 1 } else { 2 };
        let under_way = count(&steps, UpgradeStep::is_under_way);
        assert!(under_way <= most, "{steps:?}");
        completed = count(&steps, |step| step == UpgradeStep::Completed);
        if completed == NAMES.len() {
            break;
        }
    }
    assert_eq!(completed, NAMES.len());
    for name in NAMES {
        let machine = fleet.machine(name);
        assert_eq!((machine.image.as_str(), machine.retained, machine.job), ("good:2", None, None));
        assert!(fleet.upgrade(name).unwrap().backup.is_some());
    }
    let steps = fleet.pass().await;
    assert_eq!(count(&steps, |step| step == UpgradeStep::Completed), NAMES.len(), "nothing begins again");
}

#[tokio::test]
async fn image_that_fails_on_the_first_reaches_no_other() {
    let fleet = Fleet::declares(BAD);
    let mut steps = Vec::new();
    for _ in 0..40 {
        steps = fleet.pass().await;
    }
    assert_eq!(count(&steps, |step| step == UpgradeStep::RolledBack), 1, "{steps:?}");
    assert_eq!(count(&steps, |step| step == UpgradeStep::Halted), NAMES.len() - 1, "{steps:?}");
    for name in NAMES {
        let machine = fleet.machine(name);
        assert_eq!((machine.image.as_str(), machine.data.as_str(), machine.runs), ("good:1", "good:1", true), "{name}");
        assert_eq!(machine.retained, None, "{name}");
    }
    let events = fleet.written.events.lock().clone();
    let told = |reason: &str| events.iter().filter(|event| *event == reason).count();
    assert_eq!((told("UpgradeStarted"), told("UpgradeRolledBack"), told("UpgradeHalted")), (1, 1, 4), "{events:?}");
}

#[tokio::test]
async fn upgrades_go_on_under_a_new_reconciler_at_each_step() {
    for (image, end) in [("good:2", UpgradeStep::Completed), (BAD, UpgradeStep::RolledBack)] {
        let mut fleet = Fleet::declares(image);
        let mut ended = 0;
        for _ in 0..60 {
            // Nothing begins until all were observed.
            fleet.pass().await;
            let steps = fleet.pass().await;
            assert!(count(&steps, UpgradeStep::is_under_way) <= 2, "{steps:?}");
            ended = count(&steps, |step| step == end);
            fleet = Fleet::restarted(&fleet.machines, &fleet.written, fleet.instances);
        }
        assert_eq!(ended, if image == BAD { 1 } else { NAMES.len() }, "{image}");
        for name in NAMES {
            let machine = fleet.machine(name);
            let serves = if image == BAD { "good:1" } else { image };
            assert_eq!((machine.image.as_str(), machine.data.as_str(), machine.runs), (serves, serves, true), "{name}");
        }
    }
}
