//! `mai completions SHELL`: prints the completion script of a shell.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The shell to complete for
    shell: Shell,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, &mut crate::cli::Cli::command(), "mai", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
