//! Starts the program of a server: its paths, its port, its environment, and nothing else that this
//! process has.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::labels::Labels;
use super::paths::InstancePaths;
use super::stat::Stat;
use super::{discovery, log};
use crate::core::{EnvValue, Workload};
use crate::runtime::{RuntimeError, port};

/// A server that was started.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) labels: Labels,
    pub(super) log_from: u64,
    /// The end of its standard input that keeps an attached server alive.
    pub(super) stdin: Option<ChildStdin>,
}

/// Starts `program serve`. Blocks for a few milliseconds. Nothing was started when it returns an
/// error.
pub(super) fn launch(
    program: &Path,
    state_dir: &Path,
    paths: &InstancePaths,
    workload: &Workload,
    attached: bool,
) -> Result<Launched, RuntimeError> {
    let instance = || workload.id.to_string();
    let failed = |source| RuntimeError::Io { action: "start", instance: instance(), source };
    paths.make(&workload.id)?;
    if !port::is_free(workload.listen).map_err(|error| failed(with_advice(error, workload)))? {
        let ours = super::running_servers(state_dir).map_err(failed)?;
        let holder = port::name(&port::listeners(workload.listen), |pid| discovery::name(&ours, pid));
        return Err(RuntimeError::PortTaken { instance: instance(), port: workload.listen.port(), holder });
    }
    if log::is_large(&paths.log) {
        log::rotate(&paths.log).map_err(failed)?;
    }
    let output = paths.open_log().map_err(failed)?;
    let log_from = output.metadata().map_err(failed)?.len();
    let labels = Labels {
        id: workload.id.clone(),
        hash: workload.hash.clone(),
        listen: workload.listen,
        started_at: Timestamp::now(),
        started_by: std::process::id(),
        attached,
    };

    let mut command = Command::new(program);
    command.arg0("mai").arg("serve").current_dir(&paths.home).env_clear();
    for (name, value) in &workload.env {
        match value {
            EnvValue::Plain(text) => command.env(name, text),
            EnvValue::Secret(text) => command.env(name, text.expose_secret()),
        };
    }
    // After the declared environment: no document may make its server pass for another's.
    command.env("DATA_DIR", &paths.data).envs(labels.variables(state_dir));
    command.stdin(if attached { Stdio::piped() } else { Stdio::null() });
    command.stdout(output.try_clone().map_err(failed)?).stderr(output);
    // Ctrl-C goes to the foreground group: the reconciler decides what it means for the servers.
    command.process_group(0);
    let child = command.spawn().map_err(|error| {
        failed(io::Error::new(error.kind(), format!("{} cannot be executed: {error}", program.display())))
    })?;
    // A child keeps its entry until it is reaped, so its start time can be read whatever happens to
    // it.
    let start_ticks = Stat::read(child.id()).map_err(failed)?.start_ticks;
    Ok(Launched { pid: child.id(), start_ticks, labels, log_from, stdin: child.stdin })
}

fn with_advice(error: io::Error, workload: &Workload) -> io::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address; correct expose.address",
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges; declare another expose.port",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{} cannot be listened on ({error}): {advice}", workload.listen))
}
