//! `mai serve`: the per-client chat server, as it runs inside an instance.

use std::process::ExitCode;

use crate::server::{self, Config};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    config: Config,
}

pub(in crate::cli) fn run(args: Args) -> anyhow::Result<ExitCode> {
    crate::cli::shared::logging::to_output(args.config.log_format);
    // A server of 5 to 20 people waits nearly all the time: one thread keeps it small and wakes it
    // least.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    match runtime.block_on(server::run(args.config)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("mai serve: {error}");
            Ok(ExitCode::from(error.exit_code().code()))
        }
    }
}
