//! `mai job`: runs one order of a reconciler on the data of an instance, next to its server. Its
//! standard output is for the reconciler: one message a line, the last of which is the outcome.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use mai_backup::{Places, Progress, fit};
use mai_contract::job::{Message, Order, Outcome};

use crate::cli::shared::signals;
use crate::cli::shared::trial_server::OwnProgram;

/// Added to its nice value, so that the server goes first on a busy machine.
const NICENESS: i32 = 10;
/// Longest wait for work that does not notice a stop.
const SHUTDOWN: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// File with the order, as JSON
    #[arg(long, value_name = "FILE")]
    order: PathBuf,

    /// Directory of the data
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// Directory of the backups
    #[arg(long, value_name = "DIR")]
    backups: PathBuf,

    /// Directory of the secret files that the order names
    #[arg(long, value_name = "DIR")]
    secrets: PathBuf,

    /// Directory for copies of databases and for the data of a drill [default: one among the backups]
    #[arg(long, value_name = "DIR")]
    staging: Option<PathBuf>,

    /// File to write the outcome into as well
    #[arg(long, value_name = "FILE")]
    termination_message: Option<PathBuf>,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // Without it the job runs as well, at the priority of the server.
    let _ = rustix::process::nice(NICENESS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(work(args));
    let code = match &outcome {
        Outcome::Backup(_) | Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) => {
            ExitCode::SUCCESS
        }
        Outcome::Failed { .. } => ExitCode::FAILURE,
    };
    if let Some(file) = &args.termination_message
        && let Err(error) = write_message(file, &outcome)
    {
        eprintln!("mai: the outcome could not be written to {}: {error}", file.display());
    }
    print(Message::Outcome(outcome));
    runtime.shutdown_timeout(SHUTDOWN);
    Ok(code)
}

async fn work(args: &Args) -> Outcome {
    let progress = Progress::new(|progress| print(Message::Progress(progress)));
    let result = async {
        let order = read_order(&args.order)?;
        let stop = signals::stop()?;
        let stopping = progress.clone();
        tokio::spawn(async move {
            stop.await;
            stopping.stop();
        });
        let staging = args.staging.clone().unwrap_or_else(|| Places::default_staging(&args.backups, order.id()));
        let places =
            Places { data: args.data.clone(), backups: args.backups.clone(), secrets: args.secrets.clone(), staging };
        anyhow::Ok(mai_backup::run(&order, &places, &progress, &OwnProgram).await)
    };
    result.await.unwrap_or_else(|error| fit(Outcome::Failed { message: format!("{error:#}") }))
}

fn read_order(path: &Path) -> anyhow::Result<Order> {
    let failed = || format!("order {} could not be read", path.display());
    let text = std::fs::read(path).with_context(failed)?;
    serde_json::from_slice(&text).with_context(failed)
}

fn write_message(file: &Path, outcome: &Outcome) -> std::io::Result<()> {
    std::fs::write(file, serde_json::to_vec(&Message::Outcome(outcome.clone()))?)
}

/// Prints a message. A reconciler that is gone does not end a job, and learns the outcome from what
/// is stored.
fn print(message: Message) {
    if let Ok(line) = serde_json::to_string(&message) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}
