//! The request of a verb for a job of an instance, and the wait until the reconciler answers it.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use mai_contract::job::{BackupId, Outcome};
use tokio::time::{Instant, sleep};

use super::backup_output::ProgressOutput;
use super::named_instance::{InstanceArgs, NamedInstance};
use super::state_dir::Place;
use crate::core::{JobRequest, JobState, JobWork, ObservedJob, ObservedJobs};
use crate::runtime::{BoxedObserver, JobRequestFile, Observe};
use crate::state::State;

/// Interval between checks for the answer.
const ANSWER_INTERVAL: Duration = Duration::from_millis(200);
/// Interval between checks of the job.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Arguments of a verb that asks for a job.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct WaitArgs {
    /// Only ask for it; `mai status` shows its outcome
    #[arg(long, conflicts_with_all = ["timeout", "json"])]
    no_wait: bool,

    /// Longest wait for its outcome; it goes on afterwards
    #[arg(long, default_value = "1h", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,

    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Asks the running reconciler for a job, and prints its outcome in the words of `text`. Returns it,
/// unless it is not to be waited for.
pub(in crate::cli) async fn ask(
    args: &InstanceArgs,
    wait: &WaitArgs,
    work: JobWork,
    reason: String,
    text: impl Fn(&str, &Outcome) -> String,
) -> anyhow::Result<Option<Outcome>> {
    let instance = args.find().await?;
    let name = &instance.id().name;
    let asked = AskedJob::ask(&instance, &args.place, work, reason).await?;
    if wait.no_wait {
        println!("{name:<20} asked for {} {}", asked.what, asked.name);
        return Ok(None);
    }
    let outcome = asked.outcome(&args.place.state_dir()?, wait.timeout, wait.json).await?;
    match wait.json {
        true => println!("{}", serde_json::to_string_pretty(&outcome)?),
        false => print!("{}", text(name, &outcome)),
    }
    Ok(Some(outcome))
}

/// A request that the reconciler has not answered yet.
struct AskedJob<'a> {
    instance: &'a NamedInstance,
    directory: &'a Path,
    observer: BoxedObserver,
    file: JobRequestFile,
    name: String,
    /// Word for the job.
    what: &'static str,
}

impl<'a> AskedJob<'a> {
    /// Asks the running reconciler for a job.
    async fn ask(instance: &'a NamedInstance, place: &'a Place, work: JobWork, reason: String) -> anyhow::Result<Self> {
        let what = match work {
            JobWork::Drill(_) => "drill",
            _ => "backup",
        };
        let (id, directory) = (instance.id(), place.directory.display());
        if !instance.target.is_reconciled {
            anyhow::bail!(
                "no reconciler runs that would make a {what} of {id}; run `mai compose {directory}`, and ask again"
            );
        }
        let observer = instance.observer().await?;
        let home = instance.manual.home(id)?;
        instance.require_no_job(&observer).await?;
        let name = BackupId::new(Timestamp::now(), rand::random()).to_string();
        let file = JobRequestFile::new(&home);
        let request = JobRequest { name: name.clone(), reason, work };
        file.ask(id, &request).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => anyhow::anyhow!(
                "another backup or drill of {id} was asked for and is not answered yet; `mai status {directory} {id}` shows how it stands"
            ),
            _ => anyhow::Error::new(error).context(format!("the request could not be written to {}", home.display())),
        })?;
        Ok(Self { instance, directory: &place.directory, observer, file, name, what })
    }

    /// Waits for the outcome of at most `timeout`, and shows progress until then unless it is to be
    /// `silent`.
    async fn outcome(&self, state_dir: &Path, timeout: Duration, silent: bool) -> anyhow::Result<Outcome> {
        let mut progress = ProgressOutput::new();
        let outcome = self.wait(state_dir, timeout, silent, &mut progress).await;
        progress.finish();
        outcome
    }

    async fn wait(
        &self,
        state_dir: &Path,
        timeout: Duration,
        silent: bool,
        progress: &mut ProgressOutput,
    ) -> anyhow::Result<Outcome> {
        let (id, directory, what, name) = (self.instance.id(), self.directory.display(), self.what, &self.name);
        let deadline = Instant::now() + timeout;
        let mut next_look = Instant::now();
        loop {
            let unreadable = || format!("the answer to {what} {name} of {id} could not be read");
            // In this order: an answer is written before the request goes.
            let is_open = self.file.open_request(id)?.is_some_and(|request| request.name == *name);
            if let Some(outcome) = self.file.take_answer(name).with_context(unreadable)? {
                return Ok(outcome);
            }
            if !is_open {
                anyhow::bail!(
                    "{what} {name} of {id} has ended, and another command has read its answer; `mai status {directory} {id}` shows it"
                );
            }
            if Instant::now() >= deadline {
                anyhow::bail!(
                    "{what} {name} of {id} has not ended after {timeout:?}; it goes on, and `mai status {directory} {id}` shows its outcome"
                );
            }
            if State::holder(state_dir)?.is_none() {
                anyhow::bail!(
                    "the reconciler has ended; the request for {what} {name} of {id} stays, and the next `mai compose {directory}` takes it up"
                );
            }
            if Instant::now() >= next_look && !silent {
                self.show(&self.observer.observe(id, None).await?.jobs, progress);
                next_look = Instant::now() + PROGRESS_INTERVAL;
            }
            sleep(ANSWER_INTERVAL).await;
        }
    }

    fn show(&self, jobs: &ObservedJobs, progress: &mut ProgressOutput) {
        match &jobs.current {
            Some(job) if job.name != self.name => {
                progress.say(&format!("waiting for job {}, which works on the instance", job.name));
            }
            Some(ObservedJob { state: JobState::Running { progress: Some(made) }, .. }) => progress.progress(made),
            Some(_) => {}
            None => progress.say("waiting for its turn"),
        }
    }
}
