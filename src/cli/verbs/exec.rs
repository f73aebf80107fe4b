//! `mai exec DIR NAME -- COMMAND`: a command where the server of an instance runs; its exit code is ours.

use std::io::{IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::Context;
use bytes::Bytes;
use futures::StreamExt;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::{Known, Named};
use crate::cli::shared::runtime::RuntimeKind;
use crate::core::Platform;
use crate::runtime::docker::Exec;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    named: Named,

    /// Pass standard input on, also when it is no terminal
    #[arg(short = 'i', long)]
    stdin: bool,

    /// Give the command a terminal [default: when standard input and output are one]
    #[arg(short, long)]
    tty: bool,

    /// The command and its arguments, behind `--`
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let known = args.named.find().await?;
        match known.runtime {
            RuntimeKind::Process => beside(args, &known),
            RuntimeKind::Docker => inside(args, &known).await,
        }
    })
}

/// A process has no inside: the command runs on this machine, in the data directory of the server, and is told where that listens. It
/// gets none of its secrets. Returns only when that failed.
fn beside(args: &Args, known: &Known) -> anyhow::Result<ExitCode> {
    let places = known.places()?;
    let listen = (Platform::PROCESS.listen)(&known.instance).map_err(|blocked| anyhow::anyhow!(blocked.message))?;
    let (program, arguments) = args.command.split_first().context("there is no command behind `--`")?;
    let error = Command::new(program)
        .args(arguments)
        .current_dir(&places.data)
        .env("DATA_DIR", &places.data)
        .env("HOST", listen.ip().to_string())
        .env("PORT", listen.port().to_string())
        .exec();
    Err(error).with_context(|| format!("{program} could not be run in {}", places.data.display()))
}

async fn inside(args: &Args, known: &Known) -> anyhow::Result<ExitCode> {
    let terminal = args.tty || (std::io::stdin().is_terminal() && std::io::stdout().is_terminal());
    let stdin = args.stdin || terminal;
    let mut exec = args.named.container(known).await?.exec(&args.command, stdin, terminal).await?;
    let _raw = if terminal { RawTerminal::enter()? } else { None };
    if let Some(mut input) = exec.input.take() {
        let mut typed = read_stdin()?;
        tokio::spawn(async move {
            while let Some(piece) = typed.recv().await {
                if input.write_all(&piece).await.is_err() || input.flush().await.is_err() {
                    return;
                }
            }
            // The command may have ended before it has read everything.
            let _ = input.shutdown().await;
        });
    }
    let mut resized = signal(SignalKind::window_change())?;
    if terminal {
        follow_size(&exec).await;
    }
    loop {
        tokio::select! {
            piece = exec.output.next() => match piece {
                Some(piece) => pass_on(piece?)?,
                None => break,
            },
            _ = resized.recv(), if terminal => follow_size(&exec).await,
        }
    }
    let code = exec.exit_code().await?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn pass_on((is_error, text): (bool, Bytes)) -> std::io::Result<()> {
    if is_error {
        return std::io::stderr().lock().write_all(&text);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

/// A thread of its own, because a read of standard input cannot be called off and would hold up the end.
fn read_stdin() -> std::io::Result<mpsc::Receiver<Bytes>> {
    let (sender, receiver) = mpsc::channel(4);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut buffer = [0_u8; 8192];
        while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut buffer) {
            if sender.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The size is a matter of looks: where it is not known, or the command has just ended, nothing is lost.
async fn follow_size(exec: &Exec) {
    if let Ok(size) = tcgetwinsize(std::io::stdout()) {
        let _ = exec.resize(size.ws_col, size.ws_row).await;
    }
}

/// While it lives, this terminal passes on every key as it is.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// None when standard input is no terminal.
    fn enter() -> std::io::Result<Option<Self>> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // There is nobody left to tell.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
