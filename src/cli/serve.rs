//! `mai serve`: the per-client chat server, as it runs inside an instance.

use std::process::ExitCode;

use crate::server::{self, Config};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: Config,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    super::logging::to_output(args.config.log_format);
    // A server of 5 to 20 people waits nearly all the time: one thread keeps it small and wakes it least.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build()?;
    match runtime.block_on(server::run(args.config)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("mai serve: {error}");
            Ok(ExitCode::from(error.exit_code().code()))
        }
    }
}
