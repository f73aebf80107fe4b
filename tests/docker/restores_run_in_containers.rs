//! Restores and swaps as jobs in containers, started by the test itself: into the volume of a server
//! that runs, is stopped or was never made.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bollard::query_parameters::{StartContainerOptions, StopContainerOptions};
use mai_contract::job::{
    BackupId, BackupSource, Choice, Destination, Order, Outcome, RestoreOrder, RestoreReport, Store, Subject,
    SwapOrder, SwapStep,
};
use mai_operator::core::{InstanceId, Job, JobState, Storage};
use mai_operator::runtime::docker::{DockerOptions, DockerRuntime};
use mai_operator::runtime::{Apply, Observe};

use super::engine;
use super::environment::{Environment, inspect, json};
use super::restored_data_comes_back::{assert_restored, client_with_backup};

use crate::fixtures::compose::{read_file, wait_ready, wait_until};

const RESTORE: &str = "20261201-020000-1f2e3d";

/// A runtime without a reconciler.
struct Jobs<'a> {
    env: &'a Environment,
    id: InstanceId,
    docker: DockerRuntime,
    runtime: tokio::runtime::Runtime,
}

impl<'a> Jobs<'a> {
    fn new(env: &'a Environment, uid: &str) -> Self {
        let id = InstanceId { namespace: "default".into(), name: env.name.clone(), uid: uid.to_owned() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let options = DockerOptions { state_dir: env.workspace.state.clone(), host: Some(engine::host()) };
        let docker = runtime.block_on(DockerRuntime::open(options)).unwrap();
        Self { env, id, docker, runtime }
    }

    fn source(&self, store: Store, choice: Choice) -> BackupSource {
        BackupSource {
            destination: Destination { name: "there".to_owned(), store, retention: None },
            namespace: "default".to_owned(),
            name: self.env.name.clone(),
            choice,
            identity: None,
        }
    }

    fn restore(&self, source: BackupSource) -> RestoreReport {
        let instance = Subject { namespace: "default".into(), name: self.id.name.clone(), uid: self.id.uid.clone() };
        let order = Order::Restore(RestoreOrder {
            id: RESTORE.parse().unwrap(),
            instance,
            source,
            database: None,
            keeps_data: false,
        });
        match self.run(RESTORE, order) {
            Outcome::Restored(report) => report,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn swap(&self, number: u32, step: SwapStep) -> Outcome {
        let id = BackupId::new("2026-12-01T03:00:00Z".parse().unwrap(), number);
        let order = Order::Swap(SwapOrder { id: id.clone(), restore: RESTORE.parse().unwrap(), step });
        self.run(id.as_str(), order)
    }

    /// Runs a job to its outcome.
    fn run(&self, name: &str, order: Order) -> Outcome {
        let directories = order.destinations().iter().filter_map(|destination| match &destination.store {
            Store::Directory(path) => Some(path.clone()),
            _ => None,
        });
        let job = Job {
            name: name.to_owned(),
            image: Some("mai-own:test".to_owned()),
            secrets: BTreeMap::new(),
            storage: Storage { confined: true, ..Storage::default() },
            directories: directories.collect(),
            order,
        };
        self.runtime.block_on(self.docker.start_job(&self.id, &job)).unwrap();
        let shown = json(&inspect(&format!("{}.job", self.env.container())).unwrap());
        assert_eq!(shown["Config"]["User"], "65532:65532");
        let state = || self.runtime.block_on(self.docker.observe(&self.id, None)).unwrap().jobs.current;
        let outcome = wait_until(
            || format!("an ended job; it is {:?}", state()),
            || match state().map(|job| job.state) {
                Some(JobState::Ended(outcome)) => Some(outcome),
                Some(JobState::Lost(cause)) => panic!("{cause}"),
                _ => None,
            },
        );
        self.runtime.block_on(self.docker.remove_job(&self.id, name, &outcome)).unwrap();
        outcome
    }

    fn letter(&self) -> PathBuf {
        self.env.volume("data").join("letter")
    }
}

fn assert_owned(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let (path, metadata) = {
            let entry = entry.unwrap();
            (entry.path(), entry.metadata().unwrap())
        };
        assert_eq!((metadata.uid(), metadata.gid()), (65532, 65532), "{}", path.display());
        if metadata.is_dir() {
            assert_owned(&path);
        }
    }
}

#[test]
fn volume_is_restored_and_taken_back_without_moving_it() {
    let _shared = engine::shared();
    let (env, compose, backup) = client_with_backup("restore-jobs");
    compose.stop();
    let labels = env.inspect().unwrap().config.unwrap().labels.unwrap();
    let jobs = Jobs::new(&env, &labels["mai.dev/uid"]);
    std::fs::write(jobs.letter(), "second").unwrap();
    let run = env.run().unwrap();

    // The server runs on its present data meanwhile, and no swap takes that from it.
    let report = jobs.restore(jobs.source(Store::Volume, Choice::Latest));
    assert_eq!((report.backup, report.databases), (Some(backup), 1));
    assert_eq!((env.run().unwrap(), read_file(&jobs.letter())), (run, "second".to_owned()));
    let Outcome::Failed { message } = jobs.swap(1, SwapStep::Forward) else { panic!("the server has the data open") };
    assert!(message.contains("in use by another process"), "{message}");

    let container = env.container();
    let stop =
        async |docker: bollard::Docker| docker.stop_container(&container, None::<StopContainerOptions>).await.unwrap();
    let start = async |docker: bollard::Docker| {
        docker.start_container(&container, None::<StartContainerOptions>).await.unwrap()
    };
    engine::with_docker(stop);
    assert_eq!(jobs.swap(2, SwapStep::Forward), Outcome::Swapped);
    let former = env.volume("data").join(format!(".mai-restore/{RESTORE}/former/letter"));
    assert_eq!(read_file(&former), "second");
    engine::with_docker(start);
    wait_ready(env.port);
    assert_restored(&env);
    engine::with_docker(stop);
    assert_eq!(jobs.swap(3, SwapStep::Back), Outcome::Swapped);
    assert_eq!(jobs.swap(4, SwapStep::Discard), Outcome::Swapped);
    assert_eq!(read_file(&jobs.letter()), "second");
    assert!(!env.volume("data").join(".mai-restore").exists());
    engine::with_docker(start);
    wait_ready(env.port);
}

#[test]
fn instance_without_a_container_gets_a_volume_with_data() {
    let _shared = engine::shared();
    let (origin, compose, backup) = client_with_backup("restore-origin");
    compose.stop();
    let env = Environment::new("restore-new");
    let jobs = Jobs::new(&env, "2b6f0f4e-0000-4000-8000-000000000001");
    let archive = format!("{backup}.tar.gz");
    let report = jobs.restore(jobs.source(Store::Directory(origin.volume("backups")), Choice::File(archive)));
    assert_eq!((report.databases, report.remarks), (1, vec!["it is the data of default/restore-origin".to_owned()]));
    assert!(env.inspect().is_none());
    assert_eq!(jobs.swap(1, SwapStep::Forward), Outcome::Swapped);
    assert_eq!(read_file(&jobs.letter()), "first");
    let volume = env.volume("data").metadata().unwrap();
    assert_eq!((volume.uid(), volume.gid()), (65532, 65532));
    assert_owned(&env.volume("data"));
}
