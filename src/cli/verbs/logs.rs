//! `mai logs DIR NAME`: what the server of an instance wrote.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use futures::StreamExt;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::Named;
use crate::cli::shared::runtime::RuntimeKind;
use crate::runtime::process::{LogReader, log_of};

/// How often a log that is followed is looked at.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    named: Named,

    /// Go on with what it writes from now on; of a container until it ends
    #[arg(short, long)]
    follow: bool,

    /// How many lines to begin with
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match block_on(show(args)) {
        // Whoever read it has seen enough.
        Err(error)
            if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) =>
        {
            Ok(ExitCode::SUCCESS)
        }
        outcome => outcome,
    }
}

async fn show(args: &Args) -> anyhow::Result<ExitCode> {
    let known = args.named.find().await?;
    match known.runtime {
        RuntimeKind::Process => {
            let (mut reader, text) = LogReader::from_the_end(log_of(&known.state_dir, &known.id)?, args.lines)?;
            write(false, &text)?;
            if args.follow {
                loop {
                    tokio::time::sleep(AGAIN).await;
                    write(false, &reader.read_on()?)?;
                }
            }
        }
        RuntimeKind::Docker => {
            let container = args.named.container(&known).await?;
            let mut output = container.logs(args.lines, args.follow);
            while let Some(piece) = output.next().await {
                let (is_error, text) = piece?;
                write(is_error, &text)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Passes on what was written, at once.
fn write(is_error: bool, text: &[u8]) -> std::io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    if is_error {
        return std::io::stderr().lock().write_all(text);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
