//! `mai version`: prints the version of this program.

use std::io::Write;
use std::process::ExitCode;

pub(in crate::cli) fn run() -> anyhow::Result<ExitCode> {
    writeln!(std::io::stdout().lock(), "{}", env!("CARGO_PKG_VERSION"))?;
    Ok(ExitCode::SUCCESS)
}
