//! The command line: one file per verb, and nothing here but parsing and dispatch.

mod completions;
mod mock_upstream;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One private AI assistant per client company, declared in YAML.
#[derive(Debug, Parser)]
#[command(name = "mai", version, about, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the chat server of one client
    // Boxed: the settings of a server are much bigger than any other verb's.
    Serve(Box<serve::Args>),
    /// Print shell completions
    Completions(completions::Args),
    /// Serve a mock of OpenRouter, to try the product without a key
    MockUpstream(mock_upstream::Args),
}

/// Runs the verb and turns its outcome into an exit code; errors go to standard error as one sentence.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.verb {
        Verb::Serve(args) => serve::run(*args),
        Verb::Completions(args) => completions::run(&args),
        Verb::MockUpstream(args) => mock_upstream::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("mai: {error:#}");
        ExitCode::FAILURE
    })
}
