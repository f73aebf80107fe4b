//! `mai logs DIR NAME`: prints the log of an instance's server.

use std::process::ExitCode;

use futures::StreamExt;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::InstanceArgs;
use crate::cli::shared::output::write;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// Keep printing what it writes; of a container until that ends
    #[arg(short, long)]
    follow: bool,

    /// Number of lines to begin with
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match block_on(show(args)) {
        // The reader, such as `head`, has seen enough.
        Err(error)
            if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        outcome => outcome,
    }
}

async fn show(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    let mut log = instance.manual.logs(instance.id(), args.lines, args.follow).await?;
    while let Some(output) = log.next().await {
        write(&output?)?;
    }
    Ok(ExitCode::SUCCESS)
}
