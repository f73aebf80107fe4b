//! Commands of an administrator on an instance, next to the reconciler and without a change of its
//! document. All of them run on one thread and end with it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::stream::LocalBoxStream;
use tokio::io::AsyncWrite;

use super::{MaintenanceLock, RetiredData, RuntimeError, UsedPlaces};
use crate::api::ServerKind;
use crate::core::{InstanceId, Storage};
use mai_ownership::OwnershipChange;

/// Answer of a command.
pub type ManualFuture<'a, T> = LocalBoxFuture<'a, Result<T, RuntimeError>>;

/// Output of a server or command, until it ends.
pub type OutputStream = LocalBoxStream<'static, Result<Output, RuntimeError>>;

/// Runs the commands of an administrator on a platform. A command that the platform cannot do is
/// [`RuntimeError::Unsupported`], with the remedy.
pub trait Manual {
    /// Returns the instances of the state directory of which something runs or is left to take
    /// down.
    fn instances(&self) -> ManualFuture<'_, Vec<InstanceId>>;

    /// Returns the name of each instance in the platform's own tools, such as a process id. Empty
    /// for one that has none.
    fn names(&self, ids: &[InstanceId]) -> Result<Vec<String>, RuntimeError>;

    /// Returns the directory of secrets, logs and locks of an instance on this machine.
    fn home(&self, id: &InstanceId) -> Result<PathBuf, RuntimeError>;

    /// Returns the last `lines` lines of the log and, with `follow`, all that is written
    /// afterwards.
    fn logs<'a>(&'a self, id: &'a InstanceId, lines: usize, follow: bool) -> ManualFuture<'a, OutputStream>;

    /// Prepares or starts a command where the server runs.
    fn exec<'a>(&'a self, target: &'a Target, command: &'a ExecCommand) -> ManualFuture<'a, Exec>;

    /// Stops the server and starts it again as it is, or makes sure that the reconciler does. The
    /// former server has ended when this returns; the next one need not be ready.
    fn restart<'a>(&'a self, target: &'a Target, grace: Duration) -> ManualFuture<'a, ()>;

    /// Returns whether anything of the instance runs.
    fn is_running<'a>(&'a self, id: &'a InstanceId) -> ManualFuture<'a, bool>;

    /// Stops what runs of the instance, so that it is not counted as a failure. Returns false when
    /// nothing ran.
    fn stop<'a>(&'a self, target: &'a Target, grace: Duration) -> ManualFuture<'a, bool>;

    /// Releases the lock and lets the stopped server start again.
    fn resume<'a>(&'a self, id: &'a InstanceId, lock: MaintenanceLock) -> ManualFuture<'a, ()>;

    /// Returns the directories of data and backups, when they can be changed from here.
    fn directories<'a>(&'a self, target: &'a Target) -> ManualFuture<'a, Directories>;

    /// Makes what is missing of the places of an instance that never ran here, as its first start
    /// would, and returns that of its data.
    fn make_places<'a>(
        &'a self,
        id: &'a InstanceId,
        storage: &'a Storage,
        server: ServerKind,
    ) -> ManualFuture<'a, NewPlace>;

    /// Gives data and backups to the user that the server runs as.
    fn fix_ownership<'a>(&'a self, target: &'a Target) -> ManualFuture<'a, Vec<OwnershipChange>>;

    /// Stops the server for good and removes what can be made again; data and backups stay.
    fn take_down<'a>(&'a self, id: &'a InstanceId, grace: Duration) -> ManualFuture<'a, TakenDown>;

    /// Returns what was made from this state directory for instances whose documents are gone.
    fn retired<'a>(&'a self, used: &'a UsedPlaces) -> ManualFuture<'a, Vec<RetiredData>>;

    /// Removes something that is retired. Fails if it is not any more, or if something works on it.
    fn remove_retired<'a>(&'a self, retired: &'a RetiredData, used: &'a UsedPlaces) -> ManualFuture<'a, ()>;
}

/// The instance of a command, as its last good document declares it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The instance.
    pub id: InstanceId,
    /// Address of its server.
    pub listen: Option<SocketAddr>,
    /// Declared directory of the data.
    pub data_path: Option<PathBuf>,
    /// Declared directory of the backups.
    pub backups_path: Option<PathBuf>,
    /// A reconciler runs for the state directory.
    pub is_reconciled: bool,
}

/// Directories of an instance on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// The data.
    pub data: PathBuf,
    /// The backups.
    pub backups: PathBuf,
}

/// Place of data that is to be unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlace {
    /// The data directory.
    pub data: PathBuf,
    /// User and group that the server runs as.
    pub owner: (u32, u32),
}

/// Bytes that a server or command wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Written to standard error.
    pub is_error: bool,
    /// The bytes.
    pub bytes: Bytes,
}

/// A command to run where a server runs.
#[derive(Clone, Debug)]
pub struct ExecCommand {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// It reads standard input.
    pub stdin: bool,
    /// It gets a terminal.
    pub terminal: bool,
}

/// A command in the place of a server.
pub enum Exec {
    /// Runs on this machine; to be executed in place of this program.
    Local(std::process::Command),
    /// Runs elsewhere; its streams are to be copied.
    Remote(RemoteCommand),
}

/// A command that runs elsewhere.
pub struct RemoteCommand {
    /// Its output. With a terminal all of it is standard output.
    pub output: OutputStream,
    /// Its input; shutting it down ends the input. None when it reads nothing.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Its terminal and exit code.
    pub control: Box<dyn RemoteControl>,
}

/// Terminal and exit code of a command that runs elsewhere.
pub trait RemoteControl {
    /// Changes the size of its terminal.
    fn resize(&self, columns: u16, rows: u16) -> ManualFuture<'_, ()>;

    /// Returns the exit code, once there is no more output.
    fn exit_code(&self) -> ManualFuture<'_, i64>;
}

/// Outcome of taking an instance down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenDown {
    /// Its server was stopped.
    Stopped,
    /// Its server was stopped and removed.
    Removed,
}
