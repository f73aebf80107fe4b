//! The command line: arguments, output and exit codes.
//!
//! * [`verbs`]: one file per verb, and their list.
//! * [`shared`]: code that several verbs use.
//! * [`kube`]: the verbs of `kubectl mai`.
//! * [`command_line`]: parses the arguments of this process.

#[macro_use]
mod shared;

mod command_line;
mod kube;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

/// One private AI assistant per client company, declared in YAML.
#[derive(Debug, Parser)]
#[command(name = "mai", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: verbs::Verb,
}

/// Runs the verb and returns its exit code. Prints an error to standard error, as one sentence.
pub fn run(cli: Cli) -> ExitCode {
    // Fails only when a provider is installed already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    verbs::run(cli.verb).unwrap_or_else(|error| {
        eprintln!("mai: {error:#}");
        ExitCode::FAILURE
    })
}
