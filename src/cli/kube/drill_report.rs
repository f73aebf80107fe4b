//! `kubectl mai drill-report NAME`: prints a page about the newest drill of an instance that its
//! client may be sent.

use std::process::ExitCode;

use super::Cluster;
use crate::cli::shared::drill_report::ReportArgs;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    #[command(flatten)]
    report: ReportArgs,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let instance = cluster.understood_instance(&args.name).await?;
    let status = instance.status.clone().unwrap_or_default();
    args.report.print(&instance, &status)?;
    Ok(ExitCode::SUCCESS)
}
