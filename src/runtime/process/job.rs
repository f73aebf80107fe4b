//! Jobs as processes, next to the servers and apart from them. A job outlives the reconciler.
//!
//! Its standard output is a file that is locked for it before it starts, so that it runs exactly as
//! long as the file is locked, whoever started it and however it ends. Its labels are in its own
//! environment, as those of a server.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use mai_contract::job::{Message, Outcome};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use tokio_util::sync::CancellationToken;

use super::discovery::running_jobs;
use super::labels::JobLabels;
use super::paths::{self, InstancePaths};
use super::process_handle::{ExitStatus, Process};
use super::servers::{blocking, failed};
use super::stat::Stat;
use crate::api::RestoreStatus;
use crate::core::{InstanceId, Job, JobState, ObservedJob, ObservedJobs, RestoreRequest};
use crate::runtime::changes::Changes;
use crate::runtime::job_files::{JobFiles, Reader};
use crate::runtime::{JobRequestFile, KeyRotationFile, RestoreRequestFile, RuntimeError, maintenance};

/// Time that a job gets to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// Variables of the reconciler that a job inherits, and no others.
const INHERITED: [&str; 3] = ["SSL_CERT_FILE", "SSL_CERT_DIR", "TZDIR"];
/// Length of a log above which it is emptied, and the interval between checks.
const LONGEST_LOG: u64 = 1 << 20;
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Attempts to lock an output, and the delay between them. A check whether a job runs
/// locks its output for an instant.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_DELAY: Duration = Duration::from_millis(5);

/// Jobs of the instances of a state directory.
#[derive(Debug)]
pub(super) struct Jobs {
    /// Without symbolic links.
    pub(super) state_dir: PathBuf,
    pub(super) program: PathBuf,
    /// By key.
    pub(super) slots: Mutex<HashMap<String, Arc<Slot>>>,
    pub(super) changes: Arc<Changes>,
    /// Cancelled when supervision ends.
    pub(super) over: CancellationToken,
}

/// The job of one instance.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Held by a start or a removal.
    turn: tokio::sync::Mutex<()>,
    /// The process that is supervised.
    process: Mutex<Option<Arc<JobProcess>>>,
}

#[derive(Debug)]
struct JobProcess {
    name: String,
    process: Process,
    /// Known when it has ended.
    exit: OnceLock<ExitStatus>,
}

impl Jobs {
    fn slot(&self, id: &InstanceId) -> Result<(String, Arc<Slot>), RuntimeError> {
        let key = paths::key(id)?;
        let slot = Arc::clone(self.slots.lock().entry(key.clone()).or_default());
        Ok((key, slot))
    }

    fn home(&self, key: &str) -> PathBuf {
        InstancePaths::new(&self.state_dir, key, None).home
    }

    /// Observes the job and the request of an instance, and takes over a job that another
    /// reconciler started.
    pub(super) async fn observe(self: &Arc<Self>, id: &InstanceId) -> Result<ObservedJobs, RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let home = self.home(&key);
        let not_observed = |source| failed("observation of the jobs", id, source);
        if let Ok(_turn) = slot.turn.try_lock() {
            let files = JobFiles::new(&home);
            files.remove_unfinished().map_err(not_observed)?;
            if files.directory.exists() && !was_started(&files).map_err(not_observed)? {
                files.remove().map_err(not_observed)?;
            }
        }
        let jobs = observe(&home, id, |name| slot.life_of(name)).map_err(not_observed)?;
        if let Some(ObservedJob { name, state: JobState::Running { .. } }) = &jobs.current {
            self.supervised(id, name, &slot).await.map_err(not_observed)?;
        }
        Ok(jobs)
    }

    /// Starts a job, as [`crate::runtime::Apply::start_job`].
    pub(super) async fn start(self: &Arc<Self>, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        let not_started = |source| failed("start of a job", id, source);
        let (data, backups) = (job.storage.data.path.as_deref(), job.storage.backups.path.as_deref());
        let paths = InstancePaths::declared(&self.state_dir, &key, data, backups);
        let files = JobFiles::new(&paths.home);
        if let Some(record) = files.record().map_err(not_started)?
            && was_started(&files).map_err(not_started)?
        {
            match (record.uid == id.uid, record.name == job.name) {
                (true, true) => return Ok(()),
                (true, false) => {
                    let busy = format!("job {} of it has not been removed yet", record.name);
                    return Err(not_started(io::Error::new(io::ErrorKind::ResourceBusy, busy)));
                }
                // Left over from another instance of the name.
                (false, _) => self.end(id, &slot, &files, &record.name).await.map_err(not_started)?,
            }
        }
        if let Some(holder) = maintenance::holder(&paths.home) {
            let busy = format!("{holder} works on its data");
            return Err(not_started(io::Error::new(io::ErrorKind::ResourceBusy, busy)));
        }
        if !paths.data.is_dir() && !job.order.makes_data() && !job.order.is_drill() {
            return Err(RuntimeError::NoData { instance: id.to_string(), place: paths.data.display().to_string() });
        }
        let (pid, start_ticks) = {
            let (jobs, id, job) = (Arc::clone(self), id.clone(), job.clone());
            blocking(move || jobs.launch(&paths, &id, &job)).await.map_err(not_started)??
        };
        let process = Process::open(pid, start_ticks)
            .and_then(|process| process.ok_or_else(|| io::Error::other("its process vanished")))
            .map_err(not_started)?;
        self.supervise(id, &job.name, &slot, process);
        Ok(())
    }

    /// Writes the files of a job and starts its program. Nothing is left when it returns an error.
    fn launch(&self, paths: &InstancePaths, id: &InstanceId, job: &Job) -> Result<(u32, u64), RuntimeError> {
        paths.make(id)?;
        let files = JobFiles::new(&paths.home);
        let started = files.write(id, job, Reader::Own).and_then(|()| self.spawn(paths, &files, id, job));
        started.map_err(|source| {
            // The first error is the one to report.
            let _ = files.remove();
            failed("start of a job", id, source)
        })
    }

    fn spawn(&self, paths: &InstancePaths, files: &JobFiles, id: &InstanceId, job: &Job) -> io::Result<(u32, u64)> {
        let append = |path: PathBuf| OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        let log = append(files.log())?;
        let output = append(files.output())?;
        lock(&output)?;
        let mut command = Command::new(&self.program);
        command.arg0("mai").arg("job");
        command.arg("--order").arg(files.order()).arg("--secrets").arg(files.secrets());
        command.arg("--data").arg(&paths.data).arg("--backups").arg(&paths.backups);
        if job.order.is_drill() {
            // What a killed drill leaves goes with the files of the job.
            command.arg("--staging").arg(files.staging());
        }
        command.current_dir(&paths.home).env_clear();
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(JobLabels { id: id.clone(), name: job.name.clone() }.variables(&self.state_dir));
        command.stdin(Stdio::null()).stdout(output).stderr(log);
        // Neither Ctrl-C nor the end of a terminal reaches it.
        command.process_group(0);
        let child = command.spawn().map_err(|error| {
            io::Error::new(error.kind(), format!("{} cannot be executed: {error}", self.program.display()))
        })?;
        let start_ticks = Stat::read(child.id())?.start_ticks;
        Ok((child.id(), start_ticks))
    }

    /// Answers the request of this name, ends the job of this name and removes its files.
    pub(super) async fn remove(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        let not_removed = |source| failed("removal of a job", id, source);
        let home = self.home(&key);
        // First: a job that is removed and still requested would be started again.
        JobRequestFile::new(&home).answer(name, outcome).map_err(not_removed)?;
        let files = JobFiles::new(&home);
        match files.record().map_err(not_removed)? {
            Some(record) if record.name == name => self.end(id, &slot, &files, name).await.map_err(not_removed),
            _ => Ok(()),
        }
    }

    /// Answers the request for a restore, if there is one.
    pub(super) fn answer_restore(&self, id: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        let file = RestoreRequestFile::new(&self.home(&paths::key(id)?));
        file.answer(&end.id, end).map_err(|source| failed("answer to a request", id, source))
    }

    /// Ends and removes whatever job a deleted instance has, and answers its requests.
    pub(super) async fn remove_any(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let (key, slot) = self.slot(id)?;
        let _turn = slot.turn.lock().await;
        let not_removed = |source| failed("removal of a job", id, source);
        let home = self.home(&key);
        let deleted = |_| Outcome::Failed { message: format!("{id} was deleted before its job had ended") };
        JobRequestFile::new(&home).answer_any(deleted).map_err(not_removed)?;
        let deleted = |request: RestoreRequest| {
            request.refused(format!("{id} was deleted before its data was restored"), Timestamp::now())
        };
        RestoreRequestFile::new(&home).answer_any(deleted).map_err(not_removed)?;
        let files = JobFiles::new(&home);
        match files.record().map_err(not_removed)? {
            Some(record) => self.end(id, &slot, &files, &record.name).await.map_err(not_removed),
            None => files.remove().map_err(not_removed),
        }
    }

    async fn end(&self, id: &InstanceId, slot: &Arc<Slot>, files: &JobFiles, name: &str) -> io::Result<()> {
        if is_locked(&files.output())? {
            match self.supervised(id, name, slot).await? {
                Some(running) => running.process.end(GRACE).await?,
                None if is_locked(&files.output())? => {
                    let advice = format!("the process of job {name} is not one of this user; end it by hand");
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, advice));
                }
                // It has just ended by itself.
                None => {}
            }
        }
        *slot.process.lock() = None;
        let files = files.clone();
        blocking(move || files.remove()).await?
    }

    /// Returns the process of a running job, which is supervised from now on.
    async fn supervised(&self, id: &InstanceId, name: &str, slot: &Arc<Slot>) -> io::Result<Option<Arc<JobProcess>>> {
        if let Some(process) = slot.process.lock().as_ref().filter(|process| process.name == name) {
            return Ok(Some(Arc::clone(process)));
        }
        let state_dir = self.state_dir.clone();
        let running = blocking(move || running_jobs(&state_dir)).await??;
        let found = running.into_iter().find(|job| {
            job.labels.name == name && (&job.labels.id.namespace, &job.labels.id.name) == (&id.namespace, &id.name)
        });
        let Some(found) = found else { return Ok(None) };
        let Some(process) = Process::open(found.pid, found.start_ticks)? else { return Ok(None) };
        tracing::info!(instance = %id, pid = found.pid, job = name, "a running job was found");
        Ok(Some(self.supervise(id, name, slot, process)))
    }

    /// Notices the end of a job, and bounds its log until then.
    fn supervise(&self, id: &InstanceId, name: &str, slot: &Arc<Slot>, process: Process) -> Arc<JobProcess> {
        let running = Arc::new(JobProcess { name: name.to_owned(), process, exit: OnceLock::new() });
        *slot.process.lock() = Some(Arc::clone(&running));
        let (watched, changes, id) = (Arc::clone(&running), Arc::clone(&self.changes), id.clone());
        let log = paths::key(&id).map(|key| JobFiles::new(&self.home(&key)).log());
        let supervision = async move {
            while tokio::time::timeout(LOG_INTERVAL, watched.process.ended()).await.is_err() {
                if let Ok(log) = &log {
                    bound(log);
                }
            }
            let exit = watched.exit();
            tracing::debug!(instance = %id, job = watched.name, code = exit.code, signal = exit.signal, "a job ended");
            changes.name(&id);
        };
        let over = self.over.clone();
        tokio::spawn(async move { over.run_until_cancelled(supervision).await });
        running
    }
}

impl Slot {
    fn life_of(&self, name: &str) -> Life {
        match self.process.lock().as_ref().filter(|running| running.name == name) {
            None => Life::Unknown,
            Some(running) if running.process.has_ended() => Life::Ended(running.exit()),
            Some(_) => Life::Running,
        }
    }
}

impl JobProcess {
    /// Returns the exit of the process, which has ended.
    fn exit(&self) -> ExitStatus {
        *self.exit.get_or_init(|| self.process.reap())
    }
}

/// State of the process of a job.
pub(super) enum Life {
    /// It runs.
    Running,
    /// It has ended.
    Ended(ExitStatus),
    /// It is not known here; the lock tells whether it runs.
    Unknown,
}

/// Returns the job and the request of the instance whose files are in `home`. `life_of` returns what
/// is known of the process of a job.
pub(super) fn observe(home: &Path, id: &InstanceId, life_of: impl Fn(&str) -> Life) -> io::Result<ObservedJobs> {
    let files = JobFiles::new(home);
    let current = match files.record()?.filter(|record| record.uid == id.uid) {
        Some(record) if was_started(&files)? => {
            let state = state(&files, &life_of(&record.name))?;
            Some(ObservedJob { name: record.name, state })
        }
        _ => None,
    };
    Ok(ObservedJobs {
        current,
        request: JobRequestFile::new(home).open_request(id)?,
        restore_request: RestoreRequestFile::new(home).open_request(id)?,
        key_rotation: KeyRotationFile::new(home).newest(id)?,
    })
}

fn state(files: &JobFiles, life: &Life) -> io::Result<JobState> {
    // Before the output is read, which is complete once its writer has ended.
    let is_running = match life {
        Life::Running => true,
        Life::Ended(_) => false,
        Life::Unknown => is_locked(&files.output())?,
    };
    Ok(match (is_running, files.last_message()?) {
        (true, Some(Message::Progress(progress))) => JobState::Running { progress: Some(progress) },
        (true, _) => JobState::Running { progress: None },
        (false, Some(Message::Outcome(outcome))) => JobState::Ended(outcome),
        (false, _) => JobState::Lost(cause(life, &files.log_tail()?)),
    })
}

/// Returns the cause of an end without an outcome.
fn cause(life: &Life, log_tail: &[String]) -> String {
    let how = match life {
        Life::Ended(ExitStatus { signal: Some(signal), .. }) => format!("its process was ended by signal {signal}"),
        Life::Ended(ExitStatus { code: Some(code), .. }) => format!("its process ended with exit code {code}"),
        _ => "its process ended".to_owned(),
    };
    match log_tail {
        [] => format!("{how} and wrote no outcome"),
        lines => format!("{how} and wrote no outcome; its log ends with: {}", lines.join(" / ")),
    }
}

/// Returns whether the program of a job was ever started. A reconciler may be killed before that.
fn was_started(files: &JobFiles) -> io::Result<bool> {
    files.output().try_exists()
}

fn is_locked(output: &Path) -> io::Result<bool> {
    let file = match File::open(output) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

fn lock(output: &File) -> io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match flock(output, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_DELAY),
            other => return Ok(other?),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process has its output locked"))
}

/// Empties a log that has become long.
fn bound(log: &Path) {
    if log.metadata().is_ok_and(|log| log.len() > LONGEST_LOG) {
        // Tried again at the next check.
        let _ = OpenOptions::new().write(true).open(log).and_then(|log| log.set_len(0));
    }
}
