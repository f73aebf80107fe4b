//! `mai backup DIR NAME`: asks the reconciler for a backup of one instance, and waits until it is
//! verified in each destination.

use std::process::ExitCode;

use crate::cli::shared::asked_job::{WaitArgs, ask};
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

    #[command(flatten)]
    wait: WaitArgs,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(backup(args))
}

async fn backup(args: &Args) -> anyhow::Result<ExitCode> {
    let outcome = ask(&args.instance, &args.wait, JobWork::Backup, args.reason.clone(), outcome_text).await?;
    Ok(if outcome.as_ref().is_none_or(is_everywhere) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Parses a reason: one line that is not too long for a listing.
fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > LONGEST_REASON {
        return Err(format!("a reason is one line of up to {LONGEST_REASON} characters"));
    }
    Ok(text.to_owned())
}
