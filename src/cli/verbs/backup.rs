//! `mai backup DIR NAME`: asks the reconciler for a backup of one instance, and waits until it is
//! verified in each destination.

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::shared::asked_job::AskedJob;
use crate::cli::shared::backup_output::{is_everywhere, outcome_text};
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::InstanceArgs;
use crate::core::JobWork;

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

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(backup(args))
}

async fn backup(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    let (name, place) = (&instance.id().name, &args.instance.place);
    let asked = AskedJob::ask(&instance, place, JobWork::Backup, args.reason.clone()).await?;
    if args.no_wait {
        println!("{name:<20} asked for backup {}", asked.name());
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = asked.outcome(&place.state_dir()?, args.timeout, args.json).await?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&outcome)?),
        false => print!("{}", outcome_text(name, &outcome)),
    }
    Ok(if is_everywhere(&outcome) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Parses a reason: one line that is not too long for a listing.
fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > LONGEST_REASON {
        return Err(format!("a reason is one line of up to {LONGEST_REASON} characters"));
    }
    Ok(text.to_owned())
}
