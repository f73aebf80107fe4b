//! `mai exec DIR NAME -- COMMAND`: runs a command where the server of an instance runs, and exits
//! with its exit code.

use std::io::{IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use futures::StreamExt;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::InstanceArgs;
use crate::cli::shared::output::write;
use crate::runtime::{Exec, ExecCommand, RemoteCommand, RemoteControl};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

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
        let instance = args.instance.find().await?;
        let (program, arguments) = args.command.split_first().context("there is no command behind `--`")?;
        let terminal = args.tty || (std::io::stdin().is_terminal() && std::io::stdout().is_terminal());
        let command = ExecCommand {
            program: program.clone(),
            arguments: arguments.to_vec(),
            stdin: args.stdin || terminal,
            terminal,
        };
        match instance.manual.exec(&instance.target, &command).await? {
            // Returns only when that failed.
            Exec::Local(mut local) => {
                let error = local.exec();
                let directory = local.get_current_dir().unwrap_or(Path::new(".")).display();
                Err(error).with_context(|| format!("{program} could not be run in {directory}"))
            }
            Exec::Remote(remote) => run_remote(remote, terminal).await,
        }
    })
}

/// Copies the streams of a command that runs elsewhere until it has ended.
pub(super) async fn run_remote(mut command: RemoteCommand, terminal: bool) -> anyhow::Result<ExitCode> {
    let _raw = if terminal { RawTerminal::enter()? } else { None };
    if let Some(mut input) = command.input.take() {
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
        copy_size(&*command.control).await;
    }
    loop {
        tokio::select! {
            output = command.output.next() => match output {
                Some(output) => write(&output?)?,
                None => break,
            },
            _ = resized.recv(), if terminal => copy_size(&*command.control).await,
        }
    }
    let code = command.control.exit_code().await?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Reads standard input on a thread of its own: a blocked read cannot be cancelled and would delay
/// the end.
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

/// Gives the command's terminal the size of this one. Errors are ignored: the command may have just
/// ended.
async fn copy_size(control: &dyn RemoteControl) {
    if let Ok(size) = tcgetwinsize(std::io::stdout()) {
        let _ = control.resize(size.ws_col, size.ws_row).await;
    }
}

/// Raw mode of this terminal, until it is dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Switches to raw mode. Returns None when standard input is no terminal.
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
        // Nothing can be done about an error here.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
