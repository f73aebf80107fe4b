//! `mai server-statement MONTH`: asks the server that has this environment for a statement; how
//! `mai statement` reaches a server in a container.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use mai_contract::{environment, files, http};
use secrecy::SecretString;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::statement::{Format, fetch};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The month, such as 2026-11
    month: String,

    /// Format of the statement
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,

    /// Address the server listens on
    #[arg(long, env = environment::HOST, default_value = "0.0.0.0")]
    host: String,

    /// Port the server listens on
    #[arg(long, env = environment::PORT, default_value_t = http::PORT)]
    port: u16,

    /// Directory of its data
    #[arg(long, env = environment::DATA_DIR, default_value = files::DATA)]
    data_dir: PathBuf,

    /// Its session key
    #[arg(long, env = environment::WEBUI_SECRET_KEY, hide_env_values = true)]
    session_key: Option<SecretString>,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let mut found = tokio::net::lookup_host((args.host.as_str(), args.port))
            .await
            .with_context(|| format!("the address of {} cannot be found", args.host))?;
        let server: SocketAddr = found.next().with_context(|| format!("{} has no address", args.host))?;
        let key = match &args.session_key {
            Some(key) => key.clone(),
            None => {
                let file = args.data_dir.join(".secret_key");
                let key =
                    std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
                SecretString::from(key.trim())
            }
        };
        print!("{}", fetch(server, &key, &args.month, args.output).await?);
        Ok(ExitCode::SUCCESS)
    })
}
