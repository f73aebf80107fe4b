//! `kubectl mai statement NAME MONTH`: prints the statement of a closed month, with cost and margin.

use std::process::ExitCode;

use super::{ConnectionArgs, exec};
use crate::cli::shared::statement::Format;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// The month, such as 2026-11
    month: String,

    /// Format of the statement
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
}

/// Asks the server inside its pod, which no address outside of the cluster leads to.
pub(super) fn run(connection: &ConnectionArgs, args: &Args) -> anyhow::Result<ExitCode> {
    let command = ["mai", "server-statement", &args.month, "--output", args.output.name()];
    exec::replace(connection, &args.name, &command.map(Into::into), false)
}
