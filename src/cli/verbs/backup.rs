//! `mai backup DIR NAME`: asks the reconciler for a backup of one instance, and waits until it is
//! verified in each destination.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use mai_contract::job::{BackupId, Outcome};
use tokio::time::{Instant, sleep};

use crate::cli::shared::backup_output::{ProgressOutput, is_everywhere, outcome_text};
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::{InstanceArgs, NamedInstance};
use crate::core::{JobRequest, JobState, JobWork, ObservedJob, ObservedJobs};
use crate::runtime::{BoxedObserver, JobRequestFile, Observe};
use crate::state::State;

/// Interval between checks for the answer.
const ANSWER_INTERVAL: Duration = Duration::from_millis(200);
/// Interval between checks of the job.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Most characters of a reason.
const LONGEST_REASON: usize = 200;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// Reason, which is stored with the backup
    #[arg(long, default_value = "requested with mai backup", value_parser = parse_reason, value_name = "TEXT")]
    reason: String,

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

/// A request that the reconciler has not answered yet.
struct Asked<'a> {
    args: &'a Args,
    instance: &'a NamedInstance,
    file: JobRequestFile,
    name: String,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(backup(args))
}

async fn backup(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    let (id, directory) = (instance.id(), args.instance.place.directory.display());
    if !instance.target.is_reconciled {
        anyhow::bail!(
            "no reconciler runs that would make a backup of {id}; run `mai compose {directory}`, and ask again"
        );
    }
    let observer = instance.observer().await?;
    let home = instance.manual.home(id)?;
    instance.require_no_job(&observer).await?;
    let name = BackupId::new(Timestamp::now(), rand::random()).to_string();
    let asked = Asked { args, instance: &instance, file: JobRequestFile::new(&home), name: name.clone() };
    let request = JobRequest { name, reason: args.reason.clone(), work: JobWork::Backup };
    asked.file.ask(id, &request).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!(
            "another backup of {id} was asked for and is not answered yet; `mai status {directory} {id}` shows how it stands"
        ),
        _ => anyhow::Error::new(error).context(format!("the request could not be written to {}", home.display())),
    })?;
    if args.no_wait {
        println!("{:<20} asked for backup {}", id.name, request.name);
        return Ok(ExitCode::SUCCESS);
    }
    let mut progress = ProgressOutput::new();
    let outcome = asked.wait(&observer, &mut progress).await;
    progress.finish();
    let outcome = outcome?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&outcome)?),
        false => print!("{}", outcome_text(&id.name, &outcome)),
    }
    Ok(if is_everywhere(&outcome) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn jobs(observer: &BoxedObserver, instance: &NamedInstance) -> anyhow::Result<ObservedJobs> {
    Ok(observer.observe(instance.id(), None).await?.jobs)
}

impl Asked<'_> {
    /// Returns the outcome, and shows progress until then.
    async fn wait(&self, observer: &BoxedObserver, progress: &mut ProgressOutput) -> anyhow::Result<Outcome> {
        let (id, directory) = (self.instance.id(), self.args.instance.place.directory.display());
        let state_dir = self.args.instance.place.state_dir()?;
        let deadline = Instant::now() + self.args.timeout;
        let mut next_look = Instant::now();
        loop {
            let unreadable = || format!("the answer to backup {} of {id} could not be read", self.name);
            // In this order: an answer is written before the request goes.
            let is_open = self.file.open_request(id)?.is_some_and(|request| request.name == self.name);
            if let Some(outcome) = self.file.take_answer(&self.name).with_context(unreadable)? {
                return Ok(outcome);
            }
            if !is_open {
                anyhow::bail!(
                    "backup {} of {id} has ended, and another command has read its answer; `mai status {directory} {id}` shows it",
                    self.name
                );
            }
            if Instant::now() >= deadline {
                anyhow::bail!(
                    "backup {} of {id} has not ended after {:?}; it goes on, and `mai status {directory} {id}` shows its outcome",
                    self.name,
                    self.args.timeout
                );
            }
            if State::holder(&state_dir)?.is_none() {
                anyhow::bail!(
                    "the reconciler has ended; the request for backup {} of {id} stays, and the next `mai compose {directory}` takes it up",
                    self.name
                );
            }
            if Instant::now() >= next_look && !self.args.json {
                self.show(&jobs(observer, self.instance).await?, progress);
                next_look = Instant::now() + PROGRESS_INTERVAL;
            }
            sleep(ANSWER_INTERVAL).await;
        }
    }

    fn show(&self, jobs: &ObservedJobs, progress: &mut ProgressOutput) {
        match &jobs.current {
            Some(job) if job.name != self.name => {
                progress.say(&format!("waiting for backup {}, which is being made", job.name));
            }
            Some(ObservedJob { state: JobState::Running { progress: Some(made) }, .. }) => progress.progress(made),
            Some(_) => {}
            None => progress.say("waiting for its turn"),
        }
    }
}

/// Parses a reason: one line that is not too long for a listing.
fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > LONGEST_REASON {
        return Err(format!("a reason is one line of up to {LONGEST_REASON} characters"));
    }
    Ok(text.to_owned())
}
