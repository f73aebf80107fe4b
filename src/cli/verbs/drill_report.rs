//! `mai drill-report DIR NAME`: prints a page about the newest drill of an instance that its client
//! may be sent.

use std::process::ExitCode;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::drill_report::ReportArgs;
use crate::cli::shared::named_instance::InstanceArgs;
use crate::state::State;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    #[command(flatten)]
    report: ReportArgs,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let instance = args.instance.find().await?;
        let state = State::open_read_only(&args.instance.place.state_dir()?).await?;
        let status = state.status(&instance.id().uid).await;
        state.close().await;
        args.report.print(&instance.document, &status?.unwrap_or_default())?;
        Ok(ExitCode::SUCCESS)
    })
}
