//! `mai mock-upstream`: serves a mock of OpenRouter, for trying out, tests and measurements.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;

use crate::cli::shared::block_on::block_on;
use crate::openrouter::mock::{self, MockOptions};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9400")]
    listen: SocketAddr,

    /// The only key to accept, for instance sk-or-v1-mock; without it any key is accepted
    #[arg(long, env = "MAI_MOCK_KEY", hide_env_values = true)]
    key: Option<SecretString>,

    /// The management key, with which keys of clients are made; with one, no others are accepted
    #[arg(long, env = "MAI_MOCK_MANAGEMENT_KEY", hide_env_values = true)]
    management_key: Option<SecretString>,

    /// Milliseconds between the making of the first key and the answer with it
    #[arg(long, default_value_t = 0, value_name = "MS")]
    first_key_delay: u64,

    /// Tell the activity of today as well, which OpenRouter tells tomorrow
    #[arg(long)]
    activity_today: bool,

    /// Milliseconds between two pieces of an answer, unless the request says otherwise
    #[arg(long, default_value_t = 20)]
    delay: u64,
}

pub(in crate::cli) fn run(args: Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let listener = tokio::net::TcpListener::bind(args.listen)
            .await
            .with_context(|| format!("cannot listen on {}; is the port taken?", args.listen))?;
        println!("mock upstream at http://{}/api/v1 (and an Ollama at /v1)", listener.local_addr()?);
        let options = MockOptions {
            key: args.key,
            management_key: args.management_key,
            first_key_delay: Duration::from_millis(args.first_key_delay),
            activity_today: args.activity_today,
            delay: Duration::from_millis(args.delay),
        };
        tokio::select! {
            ended = mock::serve(listener, options) => ended.context("the mock upstream stopped")?,
            stopped = tokio::signal::ctrl_c() => stopped.context("cannot wait for Ctrl-C")?,
        }
        Ok(ExitCode::SUCCESS)
    })
}
