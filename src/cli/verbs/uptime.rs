//! `mai uptime DIR NAME`: prints since when the server of one instance runs.

use std::process::ExitCode;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::InstanceArgs;
use crate::cli::shared::status_output::age;
use crate::core::Presence;
use crate::runtime::Observe;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(uptime(args))
}

async fn uptime(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    let observed = instance.observer().await?.observe(instance.id(), None).await?;
    let Presence::Running { since, .. } = observed.presence else {
        let (directory, name) = (args.instance.place.directory.display(), &args.instance.name);
        anyhow::bail!("the server of {} does not run; `mai status {directory} {name}` shows why", instance.id());
    };
    println!(
        "{:<20} running since {}, for {}",
        instance.id().name,
        since.strftime("%Y-%m-%d %H:%M:%S UTC"),
        age(since)
    );
    Ok(ExitCode::SUCCESS)
}
