//! `kubectl mai exec NAME -- COMMAND…`: replaced by `kubectl exec`, which handles terminals.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use super::ConnectionArgs;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// The command, after `--`; our own image holds `mai` alone
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(super) fn run(connection: &ConnectionArgs, args: &Args) -> anyhow::Result<ExitCode> {
    replace(connection, &args.name, &args.command, true)
}

/// Replaces this process by kubectl, which runs a command in the pod of an instance; returns only if
/// that fails.
pub(super) fn replace(
    connection: &ConnectionArgs,
    instance: &str,
    command: &[OsString],
    passes_input: bool,
) -> anyhow::Result<ExitCode> {
    let mut kubectl = Command::new("kubectl");
    kubectl.arg("exec");
    for (flag, value) in [("--namespace", &connection.namespace), ("--context", &connection.context)] {
        if let Some(value) = value {
            kubectl.args([flag, value]);
        }
    }
    if let Some(path) = &connection.kubeconfig {
        kubectl.arg("--kubeconfig").arg(path);
    }
    if passes_input {
        kubectl.arg("--stdin");
    }
    if passes_input && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        kubectl.arg("--tty");
    }
    kubectl.arg(format!("deployment/mai-{instance}")).args(["--container", "server", "--"]).args(command);
    let error = kubectl.exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        anyhow::bail!("kubectl is not on PATH, and it is what runs commands in pods; install it");
    }
    anyhow::bail!("kubectl could not be started: {error}")
}
