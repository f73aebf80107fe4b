//! The `mai` binary: parse the command line and hand it to its verb.

use std::process::ExitCode;

use mai_operator::cli::Cli;

fn main() -> ExitCode {
    mai_operator::cli::run(Cli::read())
}
