//! `mai restart DIR NAME`: stops the server of one instance and starts it again as it is.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::{GRACE, InstanceArgs};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// Longest wait until it answers again
    #[arg(long, default_value = "60s", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(restart(args))
}

async fn restart(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    let started = Instant::now();
    let restarted = async {
        instance.manual.restart(&instance.target, GRACE).await?;
        instance.wait_until_ready().await
    };
    tokio::time::timeout(args.timeout + GRACE, restarted).await.with_context(|| {
        let directory = args.instance.place.directory.display();
        format!("{} does not answer yet; `mai logs {directory} {}` shows its log", instance.id(), args.instance.name)
    })??;
    println!("{:<20} restarted   answers again after {:.1} s", instance.id().name, started.elapsed().as_secs_f32());
    Ok(ExitCode::SUCCESS)
}
