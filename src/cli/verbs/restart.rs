//! `mai restart DIR NAME`: the server of one instance is stopped and started again as it is; no document is touched.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::{Known, Named};
use crate::cli::shared::runtime::RuntimeKind;
use crate::core::Platform;
use crate::reconcile::probe;
use crate::runtime::answers;
use crate::runtime::process::{Found, running};
use crate::state::State;

/// What a server gets to end its streams, as when it is stopped by the reconciler.
pub(in crate::cli) const GRACE: Duration = Duration::from_secs(15);
/// How often it is looked whether it is back.
const AGAIN: Duration = Duration::from_millis(25);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    named: Named,

    /// How long to wait until it answers again
    #[arg(long, default_value = "60s", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(restart(args))
}

async fn restart(args: &Args) -> anyhow::Result<ExitCode> {
    let known = args.named.find().await?;
    let started = Instant::now();
    let back = async {
        match known.runtime {
            RuntimeKind::Process => process(args, &known).await,
            RuntimeKind::Docker => docker(args, &known).await,
        }
    };
    tokio::time::timeout(args.timeout + GRACE, back).await.with_context(|| {
        let directory = args.named.place.directory.display();
        format!("{} does not answer yet; `mai logs {directory} {}` shows what it says", known.id, args.named.name)
    })??;
    println!("{:<20} restarted   answers again after {:.1} s", known.id.name, started.elapsed().as_secs_f32());
    Ok(ExitCode::SUCCESS)
}

/// The reconciler starts again what has ended, so it is enough to end it; it is told that this is no failure.
async fn process(args: &Args, known: &Known) -> anyhow::Result<()> {
    if State::holder(&known.state_dir)?.is_none() {
        anyhow::bail!(
            "no reconciler looks after {}, so nothing would start {} again; run `mai compose {0}`",
            args.named.place.directory.display(),
            known.id
        );
    }
    let server = own(known)?.with_context(|| {
        format!("no server of {} runs; `mai status {}` says why", known.id, args.named.place.directory.display())
    })?;
    server.end_for_restart(&known.state_dir, GRACE).await?;
    let probe = probe(&known.instance);
    loop {
        match own(known)? {
            Some(next) if next.pid != server.pid && answers(next.labels.listen, &probe).await => break,
            _ => tokio::time::sleep(AGAIN).await,
        }
    }
    Ok(server.restarted(&known.state_dir)?)
}

/// The server of an instance that is run as a process, when it runs.
pub(in crate::cli) fn own(known: &Known) -> anyhow::Result<Option<Found>> {
    Ok(running(&known.state_dir)?.into_iter().find(|server| server.labels.id == known.id))
}

async fn docker(args: &Args, known: &Known) -> anyhow::Result<()> {
    let container = args.named.container(known).await?;
    container.restart(GRACE).await?;
    let listen = (Platform::PROCESS.listen)(&known.instance).map_err(|blocked| anyhow::anyhow!(blocked.message))?;
    let probe = probe(&known.instance);
    while !answers(listen, &probe).await {
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}
