//! `mai prune DIR`: lists data that no document uses any more, and removes it on confirmation.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::confirmation::is_confirmed;
use crate::cli::shared::prunable::{PrunableKind, Prunables, parse_age};
use crate::cli::shared::runtime::RuntimeChoice;
use crate::cli::shared::state_dir::Place;
use crate::core::InstanceId;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    /// Only what was made for this instance
    name: Option<String>,

    #[command(flatten)]
    choice: RuntimeChoice,

    /// Only what is known not to have been used for this time, such as 30d
    #[arg(long, value_parser = parse_age, value_name = "TIME")]
    older_than: Option<Duration>,

    /// Remove the backups in the backups volume, too; those in other destinations are never removed
    #[arg(long)]
    with_backups: bool,

    /// Only list it
    #[arg(long)]
    dry_run: bool,

    /// Do not ask for the name of each instance to be typed; counts only where standard input is no
    /// terminal
    #[arg(long)]
    yes: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(prune(args))
}

async fn prune(args: &Args) -> anyhow::Result<ExitCode> {
    let mut found = Prunables::find(&args.place, &args.choice).await?;
    found.items.retain(|item| args.name.as_ref().is_none_or(|name| item.is_of(name)));
    found.items.retain(|item| args.older_than.is_none_or(|age| item.is_older_than(age)));
    for item in &mut found.items {
        item.is_kept = item.kind == PrunableKind::Backups && !args.with_backups;
    }
    if !args.json {
        print!("{}", found.table(args.name.as_deref()));
    }
    let removed = if args.dry_run { Ok(()) } else { remove(args, &mut found).await };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&found.json())?);
    } else {
        found.items.iter().filter(|item| item.is_removed).for_each(|item| println!("removed {}", item.place));
    }
    removed?;
    let mut code = ExitCode::SUCCESS;
    for item in &found.items {
        if let Some(problem) = &item.problem {
            eprintln!("mai: {} could not be removed: {problem}", item.place);
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Removes what is confirmed, instance by instance.
async fn remove(args: &Args, found: &mut Prunables) -> anyhow::Result<()> {
    let owners: BTreeSet<InstanceId> =
        found.items.iter().filter(|item| !item.is_kept).map(|item| item.id.clone()).collect();
    if let Some(problem) = found.obstacle.as_ref().filter(|_| !owners.is_empty()) {
        anyhow::bail!("nothing was removed: {problem}");
    }
    for owner in owners {
        let items = found.items.iter().filter(|item| !item.is_kept && item.id == owner);
        let places = items.map(|item| item.place.as_str()).collect::<Vec<_>>().join(", ");
        let question = format!("This removes {places} for good.");
        if is_confirmed(&owner.name, &question, &format!("remove {places}"), args.yes)? {
            found.remove(&args.place, &args.choice, &owner).await.with_context(|| owner.log_name())?;
        } else {
            eprintln!("that is not {}; what was made for it is kept", owner.name);
        }
    }
    Ok(())
}
