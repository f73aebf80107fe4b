//! A job is a process of its own next to a server: it outlives the reconciler, is found again, ends
//! with an outcome or is lost with a cause, and leaves nothing behind.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use mai_contract::job::{
    BackupOrder, BackupSource, Choice, Destination, Order, Outcome, Progress, RestoreOrder, Step, Store, Subject,
};
use mai_operator::core::{
    Action, EnvValue, InstanceId, Job, JobRequest, JobState, JobWork, ObservedJob, ObservedJobs, Storage, Workload,
};
use mai_operator::runtime::process::{ProcessObserver, ProcessOptions, ProcessRuntime, running_servers};
use mai_operator::runtime::{Apply, JobRequestFile, MaintenanceLock, Observe, RuntimeError};
use rustix::process::Signal;

use crate::fixtures::ports::free_port;
use crate::fixtures::process::{PATIENCE, SingleActions, StateDirectory, is_ready, signal, wait_until, workload};

const JOB: &str = "20261130-020000-1f2e3d";
const SECRET: &str = "a-secret-of-the-job";
/// Variables of a job, in order.
const VARIABLES: [&str; 5] =
    ["MAI_INSTANCE_NAME", "MAI_INSTANCE_NAMESPACE", "MAI_INSTANCE_UID", "MAI_JOB", "MAI_STATE_DIR"];

/// A state directory whose jobs do what the test says: a job writes a progress and a log, waits for
/// the file `finish` and prints it. Servers are real.
struct Stage {
    state: StateDirectory,
    workload: Workload,
}

impl Stage {
    fn new() -> Self {
        let state = StateDirectory::new();
        let stage = Self { state, workload: workload("abc", free_port()) };
        std::fs::create_dir_all(&stage.state.path).unwrap();
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = job ] || exec '{mai}' \"$@\"\n\
             echo '{{\"progress\":{{\"step\":\"store\",\"done\":1,\"total\":2}}}}'\n\
             echo \"{SECRET} was refused\" >&2\n\
             while ! cat '{finish}' 2>/dev/null; do sleep 0.02; done\n",
            mai = env!("CARGO_BIN_EXE_mai"),
            finish = stage.finish_file().display(),
        );
        std::fs::write(stage.program(), script).unwrap();
        std::fs::set_permissions(stage.program(), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::create_dir_all(stage.home().join("data")).unwrap();
        stage
    }

    fn program(&self) -> PathBuf {
        self.state.path.join("program")
    }

    fn finish_file(&self) -> PathBuf {
        self.state.path.join("finish")
    }

    fn home(&self) -> PathBuf {
        self.state.path.join("instances/abc")
    }

    fn id(&self) -> &InstanceId {
        &self.workload.id
    }

    fn runtime(&self) -> ProcessRuntime {
        let (state_dir, program) = (self.state.path.clone(), self.program());
        ProcessRuntime::open(ProcessOptions { state_dir, program, detach: false }).unwrap()
    }

    /// Lets the job end with an outcome.
    fn finish(&self, outcome: &Outcome) {
        let line = serde_json::to_string(&mai_contract::job::Message::Outcome(outcome.clone())).unwrap();
        let unfinished = self.finish_file().with_extension("new");
        std::fs::write(&unfinished, format!("{line}\n")).unwrap();
        std::fs::rename(unfinished, self.finish_file()).unwrap();
    }

    /// Returns the process ids of the jobs that run.
    fn pids(&self) -> Vec<u32> {
        let mark = format!("MAI_STATE_DIR={}", self.state.path.display());
        let is_job = |pid: &u32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let has = |text: &str| environ.split(|byte| *byte == 0).any(|one| one == text.as_bytes());
            has(&mark) && has(&format!("MAI_JOB={JOB}")) && leads_a_group(*pid)
        };
        std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .filter(is_job)
            .collect()
    }

    /// Returns the process id of the only job. Its environment shows a moment after its start.
    async fn pid(&self) -> u32 {
        let since = Instant::now();
        loop {
            let pids = self.pids();
            assert!(pids.len() <= 1 && since.elapsed() < PATIENCE, "{pids:?}");
            if let [pid] = pids[..] {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait_for(&self, runtime: &ProcessRuntime, what: &str, is: impl Fn(&ObservedJobs) -> bool) -> ObservedJobs {
        wait_until(runtime, &self.workload, what, |observed| is(&observed.jobs)).await.jobs
    }

    async fn wait_for_end(&self, runtime: &ProcessRuntime) -> JobState {
        let ended =
            |jobs: &ObservedJobs| !matches!(jobs.current, Some(ObservedJob { state: JobState::Running { .. }, .. }));
        self.wait_for(runtime, "ended", ended).await.current.unwrap().state
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.pids().into_iter().for_each(|pid| signal(pid, Signal::KILL));
    }
}

fn leads_a_group(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or(Vec::new(), |(_, rest)| rest.split_whitespace().collect());
    fields.get(2) == Some(&pid.to_string().as_str()) && fields[0] != "Z"
}

fn job(id: &InstanceId) -> Job {
    let InstanceId { namespace, name, uid } = id.clone();
    let order = BackupOrder {
        id: JOB.parse().unwrap(),
        instance: Subject { namespace, name, uid },
        reason: "a test".to_owned(),
        image: None,
        document: serde_json::json!({}),
        secrets: Vec::new(),
        encryption: None,
        destinations: Vec::new(),
        time_zone: "UTC".to_owned(),
    };
    Job {
        name: JOB.to_owned(),
        image: None,
        order: Order::Backup(order),
        secrets: BTreeMap::from([("s3-key".to_owned(), SECRET.to_owned().into())]),
        storage: Storage::default(),
        directories: Vec::new(),
    }
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { message: message.to_owned() }
}

fn request() -> JobRequest {
    JobRequest { name: JOB.to_owned(), reason: "before the move".to_owned(), work: JobWork::Backup }
}

/// Waits until the instance is named, among whatever else.
async fn named(changes: &mut BoxStream<'static, InstanceId>) -> InstanceId {
    tokio::time::timeout(PATIENCE, changes.next()).await.expect("no change is reported").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn job_beside_a_server_reports_progress_and_outcome() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    runtime.start(&stage.workload).await.unwrap();
    wait_until(&runtime, &stage.workload, "ready", is_ready).await;
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    let progress = Progress { step: Step::Store, done: 1, total: 2 };
    let running = ObservedJob { name: JOB.to_owned(), state: JobState::Running { progress: Some(progress) } };
    let is_running = |jobs: &ObservedJobs| jobs.current.as_ref() == Some(&running);
    stage.wait_for(&runtime, "running with progress", is_running).await;
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    let pid = stage.pid().await;

    let environ = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let mut names: Vec<&str> = environ.split('\0').filter_map(|one| Some(one.split_once('=')?.0)).collect();
    // Set by the shell.
    names.retain(|name| !["PWD", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZDIR"].contains(name));
    names.sort_unstable();
    assert_eq!(names, VARIABLES);
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(command.contains("\0job\0--order\0") && !command.contains(SECRET), "{command}");
    let secret = stage.home().join("job/secrets/s3-key");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), SECRET);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&stage.home().join("job")), mode(&secret)], [0o700, 0o600]);
    let order = std::fs::read_to_string(stage.home().join("job/order.json")).unwrap();
    assert!(order.contains(JOB) && !order.contains(SECRET), "{order}");

    let mut changes = runtime.changes();
    stage.finish(&failed("full"));
    assert_eq!(named(&mut changes).await, *stage.id());
    assert_eq!(stage.wait_for_end(&runtime).await, JobState::Ended(failed("full")));
    runtime.remove_job(stage.id(), JOB, &failed("full")).await.unwrap();
    runtime.remove_job(stage.id(), JOB, &failed("full")).await.unwrap();
    let observed = runtime.observe(stage.id(), Some(&stage.workload)).await.unwrap();
    assert_eq!(observed.jobs, ObservedJobs::default());
    assert!(!stage.home().join("job").exists() && is_ready(&observed), "{observed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_makes_the_data_directory_that_is_missing() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    std::fs::remove_dir(stage.home().join("data")).unwrap();
    let error = runtime.start_job(stage.id(), &job(stage.id())).await.unwrap_err();
    assert!(matches!(error, RuntimeError::NoData { .. }), "{error}");
    let Order::Backup(backup) = job(stage.id()).order else { unreachable!() };
    let source = BackupSource {
        destination: Destination { name: "backups".to_owned(), store: Store::Volume, retention: None },
        namespace: "default".to_owned(),
        name: "abc".to_owned(),
        choice: Choice::Latest,
        identity: None,
    };
    let order = Order::Restore(RestoreOrder {
        id: backup.id,
        instance: backup.instance,
        source,
        database: None,
        keeps_data: false,
    });
    runtime.start_job(stage.id(), &Job { order, ..job(stage.id()) }).await.unwrap();
    let mode = stage.home().join("data").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    stage.finish(&failed("none"));
    assert_eq!(stage.wait_for_end(&runtime).await, JobState::Ended(failed("none")));
    runtime.remove_job(stage.id(), JOB, &failed("none")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_job_is_lost_with_the_end_of_its_log() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    let log = stage.home().join("job/job.log");
    let since = Instant::now();
    while std::fs::read_to_string(&log).unwrap_or_default().is_empty() {
        assert!(since.elapsed() < PATIENCE, "it writes no log");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut changes = runtime.changes();
    signal(stage.pid().await, Signal::KILL);
    assert_eq!(named(&mut changes).await, *stage.id());
    let JobState::Lost(cause) = stage.wait_for_end(&runtime).await else { panic!("it is not lost") };
    assert!(cause.contains("ended by signal 9") && cause.contains("[secret] was refused"), "{cause}");
    // Whoever only reads knows less, and shows no secret either.
    let observer = ProcessObserver::new(stage.state.path.clone());
    let cause = loop {
        // What the job had started itself may have its output open for a moment longer.
        let observed = observer.observe(stage.id(), None).await.unwrap();
        match observed.jobs.current.unwrap().state {
            JobState::Lost(cause) => break cause,
            state => assert!(since.elapsed() < PATIENCE, "{state:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(cause.contains("[secret] was refused"), "{cause}");
    runtime.remove_job(stage.id(), JOB, &failed(&cause)).await.unwrap();
    assert!(!stage.home().join("job").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn job_outlives_its_reconciler_and_is_found_again() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    let pid = stage.pid().await;
    runtime.shutdown().await.unwrap();
    drop(runtime);
    assert_eq!(stage.pids(), [pid]);

    let runtime = stage.runtime();
    let observed = runtime.observe(stage.id(), None).await.unwrap();
    assert!(matches!(observed.jobs.current.unwrap().state, JobState::Running { .. }));
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    assert_eq!(stage.pids(), [pid], "it was started twice");
    let mut changes = runtime.changes();
    stage.finish(&failed("full"));
    assert_eq!(named(&mut changes).await, *stage.id());
    assert_eq!(stage.wait_for_end(&runtime).await, JobState::Ended(failed("full")));
}

#[tokio::test(flavor = "multi_thread")]
async fn found_job_that_is_removed_ends_first() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    stage.pid().await;
    let mut other = job(stage.id());
    other.name = "20261130-020000-ffffff".to_owned();
    let refused = runtime.start_job(stage.id(), &other).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("job {JOB} of it has not been removed yet")), "{refused}");
    runtime.remove_job(stage.id(), &other.name, &failed("")).await.unwrap();
    assert_eq!(stage.pids().len(), 1, "another job was ended");
    drop(runtime);
    let runtime = stage.runtime();
    runtime.remove_job(stage.id(), JOB, &failed("")).await.unwrap();
    assert!(stage.pids().is_empty() && !stage.home().join("job").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_start_is_no_job_and_leaves_no_secret() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    let leftovers = [".job.new/secrets", "job/secrets"].map(|name| stage.home().join(name));
    for directory in &leftovers {
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("s3-key"), SECRET).unwrap();
    }
    let record = format!(r#"{{"name":"{JOB}","uid":"{}"}}"#, stage.id().uid);
    std::fs::write(stage.home().join("job/job.json"), record).unwrap();
    let observed = runtime.observe(stage.id(), None).await.unwrap();
    assert_eq!(observed.jobs, ObservedJobs::default());
    assert!(leftovers.iter().all(|directory| !directory.exists()));
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    stage.pid().await;
    runtime.remove_job(stage.id(), JOB, &failed("")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_noticed_and_answered_when_its_job_is_removed() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    runtime.observe(stage.id(), None).await.unwrap();
    let mut changes = runtime.changes();
    let file = JobRequestFile::new(&stage.home());
    file.ask(stage.id(), &request()).unwrap();
    assert_eq!(named(&mut changes).await, *stage.id());
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    let observed = runtime.observe(stage.id(), None).await.unwrap().jobs;
    assert_eq!((observed.request, observed.current.unwrap().name), (Some(request()), JOB.to_owned()));
    runtime.remove_job(stage.id(), JOB, &failed("full")).await.unwrap();
    assert_eq!(runtime.observe(stage.id(), None).await.unwrap().jobs, ObservedJobs::default());
    assert_eq!(file.take_answer(JOB).unwrap(), Some(failed("full")));
    // One that is refused never has a job.
    file.ask(stage.id(), &request()).unwrap();
    runtime.remove_job(stage.id(), JOB, &failed("no such bucket")).await.unwrap();
    assert_eq!(file.take_answer(JOB).unwrap(), Some(failed("no such bucket")));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_instance_loses_its_job_before_its_data() {
    for action in [Action::Remove, Action::RemoveData { and_backups: true }] {
        let stage = Stage::new();
        let runtime = stage.runtime();
        let file = JobRequestFile::new(&stage.home());
        file.ask(stage.id(), &request()).unwrap();
        runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
        stage.pid().await;
        runtime.apply(stage.id(), &action, None).await.unwrap();
        assert!(stage.pids().is_empty());
        let answer = file.take_answer(JOB).unwrap();
        match action {
            Action::Remove => {
                let Some(Outcome::Failed { message }) = answer else { panic!("{answer:?}") };
                assert!(message.contains("deleted"), "{message}");
                assert!(stage.home().join("data").exists() && !stage.home().join("job").exists());
            }
            _ => assert!(!stage.home().exists()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn job_without_data_or_under_maintenance_is_refused() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    let lock = MaintenanceLock::acquire(&stage.home(), "mai reset").unwrap();
    let refused = runtime.start_job(stage.id(), &job(stage.id())).await.unwrap_err().to_string();
    assert!(refused.contains("mai reset") && refused.contains("works on its data"), "{refused}");
    drop(lock);
    std::fs::remove_dir(stage.home().join("data")).unwrap();
    let refused = runtime.start_job(stage.id(), &job(stage.id())).await.unwrap_err().to_string();
    assert!(refused.contains("there is no data of"), "{refused}");
    assert!(stage.pids().is_empty() && !stage.home().join("job").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn job_is_no_server_of_its_instance() {
    let stage = Stage::new();
    let runtime = stage.runtime();
    let mut workload = stage.workload.clone();
    workload.env.insert("WEBUI_NAME".to_owned(), EnvValue::Plain("Test".to_owned()));
    runtime.start_job(stage.id(), &job(stage.id())).await.unwrap();
    assert!(running_servers(&stage.state.path).unwrap().is_empty());
    // A reconciler that follows takes it for none either.
    drop(runtime);
    let runtime = stage.runtime();
    runtime.start(&workload).await.unwrap();
    wait_until(&runtime, &workload, "ready", is_ready).await;
    runtime.stop(stage.id()).await.unwrap();
    assert_eq!(stage.pids().len(), 1, "the job ended with the server");
}
