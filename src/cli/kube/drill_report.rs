//! `kubectl mai drill-report NAME`: prints a page about the newest drill of an instance that its
//! client may be sent.

use std::process::ExitCode;

use anyhow::Context;

use super::Cluster;
use crate::api::MaiInstance;
use crate::cli::shared::drill_report::ReportArgs;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    #[command(flatten)]
    report: ReportArgs,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let found = cluster.instance(&args.name).await?;
    let instance: MaiInstance = found
        .try_parse()
        .with_context(|| format!("the MaiInstance {} is not understood by this version of mai", args.name))?;
    let status = instance.status.clone().unwrap_or_default();
    args.report.print(&instance, &status)?;
    Ok(ExitCode::SUCCESS)
}
