//! A job in a container next to a server, started and removed by the test itself: its rights, its
//! end, and what is left of it when something is killed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bollard::models::{ContainerCreateBody, Volume};
use bollard::query_parameters::{CreateContainerOptionsBuilder, KillContainerOptions};
use futures::StreamExt;
use mai_contract::job::{BackupOrder, Destination, Order, Outcome, Progress, S3, Step, Store, Subject};
use mai_operator::core::{InstanceId, Job, JobRequest, JobState, JobWork, ObservedJobs, Storage};
use mai_operator::runtime::docker::{DockerOptions, DockerRuntime};
use mai_operator::runtime::{Apply, JobRequestFile, Observe, RuntimeError};

use super::engine;
use super::environment::{Environment, inspect, json, remove};
use super::proxy::{Cut, Proxy};

use crate::fixtures::compose::{PATIENCE, wait_until};

const NAME: &str = "20261130-020000-1f2e3d";
const OTHER: &str = "20261130-030000-1f2e3d";
const SECRET: &str = "a-secret-of-the-job";

/// A client whose server runs, and a runtime without a reconciler.
struct Client {
    env: Environment,
    id: InstanceId,
    docker: DockerRuntime,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    fn new(name: &str, more: &str) -> Self {
        let env = Environment::new(name);
        env.up(more).stop();
        let labels = env.inspect().unwrap().config.unwrap().labels.unwrap();
        let id = InstanceId { namespace: "default".into(), name: name.into(), uid: labels["mai.dev/uid"].clone() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let docker = runtime.block_on(open(&env, engine::host()));
        Self { env, id, docker, runtime }
    }

    /// Returns a job of our image whose reason says what it does.
    fn job(&self, reason: &str, change: impl FnOnce(&mut Job)) -> Job {
        let subject = Subject { namespace: "default".into(), name: self.id.name.clone(), uid: self.id.uid.clone() };
        let order = BackupOrder {
            id: NAME.parse().unwrap(),
            instance: subject,
            reason: reason.to_owned(),
            image: Some("fixture:1".to_owned()),
            document: serde_json::json!({}),
            secrets: Vec::new(),
            encryption: None,
            destinations: vec![destination(Store::Volume)],
            time_zone: "UTC".to_owned(),
        };
        let mut job = Job {
            name: NAME.to_owned(),
            image: Some("fixture:1".to_owned()),
            order: Order::Backup(order),
            secrets: BTreeMap::from([("key".to_owned(), SECRET.into())]),
            storage: Storage::default(),
            directories: Vec::new(),
        };
        change(&mut job);
        job
    }

    fn start(&self, job: &Job) -> Result<(), RuntimeError> {
        self.runtime.block_on(self.docker.start_job(&self.id, job))
    }

    fn remove(&self, name: &str) {
        let outcome = Outcome::Failed { message: "removed".to_owned() };
        self.runtime.block_on(self.docker.remove_job(&self.id, name, &outcome)).unwrap();
    }

    fn jobs(&self) -> ObservedJobs {
        self.runtime.block_on(self.docker.observe(&self.id, None)).unwrap().jobs
    }

    fn state(&self) -> Option<JobState> {
        self.jobs().current.map(|job| job.state)
    }

    fn wait_lost(&self) -> String {
        wait_until(
            || format!("a lost job; it is {:?}", self.state()),
            || match self.state() {
                Some(JobState::Lost(cause)) => Some(cause),
                _ => None,
            },
        )
    }

    fn wait_ended(&self) -> String {
        wait_until(
            || format!("an ended job; it is {:?}", self.state()),
            || match self.state() {
                Some(JobState::Ended(Outcome::Failed { message })) => Some(message),
                _ => None,
            },
        )
    }

    fn container(&self) -> String {
        format!("{}.job", self.env.container())
    }

    /// Returns the volume in which the job stages databases.
    fn staging(&self) -> Option<Volume> {
        let mounts = inspect(&self.container())?.mounts?;
        let mount = mounts.into_iter().find(|mount| mount.destination.as_deref() == Some("/run/staging"))?;
        engine::with_docker(async |docker| docker.inspect_volume(&mount.name?).await.ok())
    }

    fn home(&self) -> PathBuf {
        self.env.workspace.state.join("instances").join(&self.env.name)
    }

    fn release(&self) {
        std::fs::write(self.env.volume("backups").join("release"), "").unwrap();
    }

    fn assert_nothing_left(&self) {
        assert!(inspect(&self.container()).is_none() && !self.home().join("job").exists());
    }
}

async fn open(env: &Environment, host: String) -> DockerRuntime {
    DockerRuntime::open(DockerOptions { state_dir: env.workspace.state.clone(), host: Some(host) }).await.unwrap()
}

fn destination(store: Store) -> Destination {
    Destination { name: "there".to_owned(), store, retention: None }
}

fn bucket() -> Store {
    let text = |text: &str| text.to_owned();
    Store::S3(S3 {
        bucket: text("b"),
        endpoint: None,
        region: None,
        prefix: text(""),
        path_style: true,
        access_key_id: text("key"),
        secret_access_key: text("key"),
        ca: None,
    })
}

#[test]
fn job_has_few_rights_and_leaves_its_server_alone() {
    let _shared = engine::shared();
    let client = Client::new("beside", "");
    let run = client.env.run().unwrap();
    assert_eq!(client.jobs(), ObservedJobs::default());
    let request = JobRequest { name: NAME.to_owned(), reason: "before the move".to_owned(), work: JobWork::Backup };
    JobRequestFile::new(&client.home()).ask(&client.id, &request).unwrap();
    assert_eq!(client.jobs().request, Some(request));

    client.start(&client.job("hold", |_| {})).unwrap();
    let half = Progress { step: Step::Store, done: 1, total: 2 };
    let running = JobState::Running { progress: Some(half) };
    wait_until(
        || format!("progress; it is {:?}", client.state()),
        || (client.state().as_ref() == Some(&running)).then_some(()),
    );
    let container = inspect(&client.container()).unwrap();
    let shown = json(&container);
    let host = &shown["HostConfig"];
    assert_eq!(shown["Config"]["User"], "65532:65532");
    assert_eq!((&host["CapDrop"], &host["CapAdd"]), (&serde_json::json!(["ALL"]), &serde_json::Value::Null));
    assert_eq!((&host["ReadonlyRootfs"], &host["NetworkMode"]), (&true.into(), &"none".into()));
    assert_eq!((&host["RestartPolicy"]["Name"], &host["Memory"]), (&"no".into(), &(256 << 20).into()));
    assert!(!shown.to_string().contains(SECRET));
    let staging = client.staging().unwrap();
    assert_eq!(PathBuf::from(&staging.mountpoint).metadata().unwrap().uid(), 65532);
    assert!(!json(&client.env.inspect().unwrap()).to_string().contains(&staging.name), "the server mounts it");

    // Nothing takes it for a server, and it is started once.
    client.start(&client.job("hold", |_| {})).unwrap();
    assert_eq!(inspect(&client.container()).unwrap().id, container.id);
    let busy = client.start(&client.job("hold", |job| job.name = OTHER.to_owned())).unwrap_err().to_string();
    assert!(busy.contains(NAME), "{busy}");
    let compose = client.env.compose();
    client.env.wait_for("Ready");
    client.env.assert_unchanged(&run);
    assert_eq!(inspect(&client.container()).unwrap().id, container.id);
    assert!(client.env.mai("logs", &["-n", "5"]).1.contains("the fixture listens"));
    compose.stop();

    let mut changes = client.docker.changes();
    client.release();
    let changed = client.runtime.block_on(async { tokio::time::timeout(PATIENCE, changes.next()).await });
    assert_eq!(changed.unwrap(), Some(client.id.clone()));
    assert_eq!(client.wait_ended(), "1 starts, 1 secrets");
    client.remove(OTHER);
    assert!(client.state().is_some(), "another job was named");
    client.remove(NAME);
    client.assert_nothing_left();
    let left = engine::with_docker(async |docker| docker.inspect_volume(&staging.name).await.is_ok());
    assert!(!left, "the staging volume is left");
    assert_eq!(client.jobs(), ObservedJobs::default());
    let answer = JobRequestFile::new(&client.home()).take_answer(NAME).unwrap();
    assert_eq!(answer, Some(Outcome::Failed { message: "removed".to_owned() }));
    client.remove(NAME);
    assert_eq!(client.env.run().unwrap(), run);
}

#[test]
fn job_that_ends_without_an_outcome_says_why() {
    let _shared = engine::shared();
    let client = Client::new("lost", "");
    client.start(&client.job("hold", |_| {})).unwrap();
    engine::with_docker(async |docker| {
        docker.kill_container(&client.container(), None::<KillContainerOptions>).await.unwrap();
    });
    let cause = client.wait_lost();
    assert!(cause.contains("signal 9"), "{cause}");
    client.remove(NAME);

    client.start(&client.job("", |job| job.image = Some("fixture:broken".to_owned()))).unwrap();
    let cause = client.wait_lost();
    assert!(cause.contains("fixture:broken holds no mai") && cause.contains("/nothing"), "{cause}");
    client.remove(NAME);

    client.start(&client.job("crash", |_| {})).unwrap();
    let cause = client.wait_lost();
    assert!(cause.contains("exit code 9") && cause.contains("[secret]") && !cause.contains(SECRET), "{cause}");
    client.remove(NAME);
    client.assert_nothing_left();
}

#[test]
fn job_that_cannot_start_says_why_and_leaves_nothing() {
    let _shared = engine::shared();
    let client = Client::new("refused", "");
    let says = |words: &[&str], job: Job| {
        let error = client.start(&job).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
        client.assert_nothing_left();
    };
    let image = |image: &str| client.job("", |job| job.image = Some(image.to_owned()));
    says(&["127.0.0.1:1/nowhere:1", "--helper-image"], image("127.0.0.1:1/nowhere:1"));
    says(&["--helper-image"], client.job("", |job| job.image = None));
    let nowhere = client.job("", |job| job.storage.data.volume = Some("no-such-volume".to_owned()));
    says(&["no-such-volume"], nowhere);

    // A container of somebody else keeps the name.
    let foreign = engine::with_docker(async |docker| {
        let options = CreateContainerOptionsBuilder::new().name(&client.container()).build();
        let body = ContainerCreateBody { image: Some("fixture:1".to_owned()), ..ContainerCreateBody::default() };
        docker.create_container(Some(options), body).await.unwrap().id
    });
    let error = client.start(&client.job("", |_| {})).unwrap_err().to_string();
    assert!(error.contains(&client.container()) && error.contains("does not belong"), "{error}");
    assert!(client.state().is_none());
    engine::with_docker(async |docker| remove(&docker, &foreign).await);
    client.start(&client.job("", |_| {})).unwrap();
    client.wait_ended();
    client.remove(NAME);
}

#[test]
fn start_of_a_job_killed_at_any_call_is_completed() {
    let _shared = engine::shared();
    let client = Client::new("halfway", "");
    let start_through = |cut: Cut| {
        let proxy = Proxy::start(cut);
        let through = async {
            let docker = open(&client.env, proxy.host()).await;
            docker
                .start_job(
                    &client.id,
                    &client.job("hold", |job| {
                        let Order::Backup(order) = &mut job.order else { unreachable!() };
                        order.destinations.push(destination(bucket()));
                    }),
                )
                .await
        };
        // A call that is never answered stands for a process that is killed.
        let killed = client.runtime.block_on(async { tokio::time::timeout(PATIENCE, through).await });
        drop(killed);
        proxy.changes()
    };
    let calls = start_through(Cut::Never);
    assert!(calls.len() >= 2, "{calls:?}");
    assert!(matches!(client.state(), Some(JobState::Running { .. })), "{:?}", client.state());
    client.remove(NAME);
    for at in 1..=calls.len() {
        for cut in [Cut::Before(at), Cut::After(at)] {
            start_through(cut);
            match client.state() {
                None | Some(JobState::Lost(_) | JobState::Running { .. }) => {}
                other => panic!("{cut:?} of {calls:?}: {other:?}"),
            }
            client.start(&client.job("hold", |_| {})).unwrap();
            wait_until(
                || format!("a job after {cut:?}"),
                || matches!(client.state(), Some(JobState::Running { .. })).then_some(()),
            );
            client.remove(NAME);
            client.assert_nothing_left();
        }
    }
}

#[test]
fn job_ends_with_the_containers_of_its_instance() {
    let _shared = engine::shared();
    let client = Client::new("taken-down", "");
    client.start(&client.job("hold", |_| {})).unwrap();
    let (code, out, err) = client.env.workspace.mai("down", &["--docker-host", &engine::host()]);
    assert_eq!(code, 0, "{out}{err}");
    client.assert_nothing_left();
    assert!(client.env.inspect().is_none());

    // Without a server the owner of the data is the user of the job.
    client.start(&client.job("hold", |_| {})).unwrap();
    assert_eq!(json(&inspect(&client.container()).unwrap())["Config"]["User"], "65532:65532");
    client.release();
    client.wait_ended();
    client.remove(NAME);
}

#[test]
fn job_of_a_server_of_root_runs_as_root_with_few_capabilities() {
    let _shared = engine::shared();
    let client = Client::new("of-root", "  server: {kind: Custom}\n");
    client.start(&client.job("hold", |_| {})).unwrap();
    let shown = json(&inspect(&client.container()).unwrap());
    assert_eq!(shown["Config"]["User"], "0:0");
    assert_eq!(shown["HostConfig"]["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(shown["HostConfig"]["CapAdd"], serde_json::json!(["CHOWN", "DAC_OVERRIDE", "FOWNER"]));
    client.release();
    assert_eq!(client.wait_ended(), "1 starts, 1 secrets");
    client.remove(NAME);
    client.assert_nothing_left();
}
