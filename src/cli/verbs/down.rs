//! `mai down DIR`: stops what keeps running without a reconciler. Data stays.

use std::process::ExitCode;

use futures::future::join_all;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::GRACE;
use crate::cli::shared::runtime::RuntimeChoice;
use crate::cli::shared::state_dir::Place;
use crate::runtime::{Manual, TakenDown};
use crate::state::{State, StateError};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    choice: RuntimeChoice,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(down(args))
}

async fn down(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.place.state_dir()?;
    let is_empty = |mut entries: std::fs::ReadDir| entries.next().is_none();
    if !state_dir.exists() || std::fs::read_dir(&state_dir).is_ok_and(is_empty) {
        println!("nothing has run for {} yet", args.place.directory.display());
        return Ok(ExitCode::SUCCESS);
    }
    // An open state keeps a reconciler from starting again what is being stopped.
    let state = State::open(&state_dir).await.map_err(|error| match error {
        StateError::InUse { .. } => {
            anyhow::Error::from(error).context("a reconciler would start the servers again; stop it first")
        }
        other => other.into(),
    })?;
    let code = take_down_all(args, &*args.choice.manual(&state_dir)).await;
    state.close().await;
    code
}

async fn take_down_all(args: &Args, manual: &dyn Manual) -> anyhow::Result<ExitCode> {
    let ids = manual.instances().await?;
    if ids.is_empty() {
        println!("nothing runs for {}", args.place.directory.display());
    }
    let outcomes = join_all(ids.iter().map(|id| manual.take_down(id, GRACE))).await;
    let mut code = ExitCode::SUCCESS;
    for (id, outcome) in ids.iter().zip(outcomes) {
        match outcome {
            Ok(TakenDown::Stopped) => println!("{:<20} stopped", id.name),
            Ok(TakenDown::Removed) => println!("{:<20} stopped and removed; its data and backups stay", id.name),
            Err(error) => {
                eprintln!("mai: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
