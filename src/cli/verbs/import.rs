//! `mai import open-webui DIR --to DATA_DIR`: takes over people and chats of another program into
//! the data of a stopped server.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::shared::block_on::block_on;
use crate::server::OfflineData;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// Take over the people, passwords, API keys and chats of Open WebUI 0.3 to 0.12
    OpenWebui(OpenWebui),
}

#[derive(Debug, clap::Args)]
struct OpenWebui {
    /// Data directory of Open WebUI, with webui.db and webui.db-wal; it is only read
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Data directory of a stopped server of ours
    #[arg(long, value_name = "DATA_DIR")]
    to: PathBuf,

    /// Do the same on a copy that is thrown away, and print the report
    #[arg(long)]
    dry_run: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let From::OpenWebui(args) = &args.from;
    block_on(async {
        let report = OfflineData::lock(&args.to)?.import_open_webui(&args.directory, args.dry_run).await?;
        match args.json {
            true => println!("{}", serde_json::to_string_pretty(&report)?),
            false => print!("{report}"),
        }
        Ok(ExitCode::SUCCESS)
    })
}
