//! `mai down DIR`: stops what goes on without a reconciler: detached servers, and containers, which are removed. Data stays.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use futures::future::join_all;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::runtime::{Choice, RuntimeKind};
use crate::cli::shared::state_dir::Place;
use crate::cli::verbs::restart::GRACE;
use crate::runtime::docker::DockerRuntime;
use crate::runtime::process::running;
use crate::state::State;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    choice: Choice,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(down(args))
}

async fn down(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.place.state_dir()?;
    if !state_dir.exists() {
        println!("nothing has run for {} yet", args.place.directory.display());
        return Ok(ExitCode::SUCCESS);
    }
    // Holding the state keeps a reconciler from starting again what is being stopped.
    let state = State::open(&state_dir).await.context("a reconciler would start the servers again; stop it first")?;
    let code = match args.choice.kind(&state_dir) {
        RuntimeKind::Process => processes(args, &state_dir).await,
        RuntimeKind::Docker => containers(args, &state_dir).await,
    };
    state.close().await;
    code
}

async fn processes(args: &Args, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let servers = running(state_dir)?;
    if servers.is_empty() {
        println!("no server of {} runs", args.place.directory.display());
    }
    let outcomes = join_all(servers.iter().map(|server| server.end(GRACE))).await;
    let mut code = ExitCode::SUCCESS;
    for (server, outcome) in servers.iter().zip(outcomes) {
        match outcome {
            Ok(()) => println!("{:<20} stopped", server.labels.id.name),
            Err(error) => {
                eprintln!("mai: {} (pid {}) could not be stopped: {error}", server.labels.id.name, server.pid);
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn containers(args: &Args, state_dir: &Path) -> anyhow::Result<ExitCode> {
    let docker = DockerRuntime::open(args.choice.docker(state_dir)).await?;
    let instances = docker.instances().await?;
    if instances.is_empty() {
        println!("there is no container of {}", args.place.directory.display());
    }
    let outcomes = join_all(instances.iter().map(|id| docker.take_down(id))).await;
    let mut code = ExitCode::SUCCESS;
    for (id, outcome) in instances.iter().zip(outcomes) {
        match outcome {
            Ok(()) => println!("{:<20} stopped and removed; its data and backups stay", id.name),
            Err(error) => {
                eprintln!("mai: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
