//! Measures what the project promises about speed and size, each figure as a ratio taken in one run.
//!
//! `bench/run` builds what it needs and prints the table; `bench/README.md` says how to read it.

mod chat;
mod fleet;
mod load;
mod process;
mod report;
mod server;

use std::path::PathBuf;

use clap::Parser;

#[derive(Parser)]
struct Args {
    /// The `mai` binary to measure, built for release
    #[arg(long)]
    mai: PathBuf,

    /// Only rows whose name begins with this
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut report = report::Report::new(&args.only);
        chat::measure(&args.mai, &mut report).await?;
        server::measure(&args.mai, &mut report).await?;
        fleet::measure(&args.mai, &mut report).await?;
        report.print();
        Ok(())
    })
}
