//! Commands of an administrator on servers that are processes. The reconciler, which starts again
//! what has ended, is another program.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use rustix::process::{getegid, geteuid};

use mai_contract::environment::{DATA_DIR, HOST, PORT};

use super::discovery::{RunningServer, running_jobs, running_servers};
use super::log::Reader;
use super::paths::{self, InstancePaths};
use super::servers::failed;
use super::{retired, unsupported};
use crate::api::ServerKind;
use crate::core::{InstanceId, Storage};
use crate::runtime::{
    Directories, Exec, ExecCommand, MaintenanceLock, Manual, ManualFuture, NewPlace, Output, OutputStream, RetiredData,
    RuntimeError, TakenDown, Target, UsedPlaces,
};
use mai_ownership::OwnershipChange;

/// Interval between reads of a followed log.
const READ_INTERVAL: Duration = Duration::from_millis(200);

/// Runs an administrator's commands on the servers of a state directory.
#[derive(Clone, Debug)]
pub struct ProcessManual {
    state_dir: PathBuf,
}

impl ProcessManual {
    /// Returns the commands for a state directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into() }
    }

    fn paths(&self, id: &InstanceId) -> Result<InstancePaths, RuntimeError> {
        Ok(InstancePaths::new(&self.state_dir, &paths::key(id)?, None))
    }

    fn declared_paths(&self, target: &Target) -> Result<InstancePaths, RuntimeError> {
        let mut paths = self.paths(&target.id)?;
        if let Some(data) = &target.data_path {
            paths.data.clone_from(data);
        }
        if let Some(backups) = &target.backups_path {
            paths.backups.clone_from(backups);
        }
        Ok(paths)
    }

    fn servers(&self, action: &'static str, id: &InstanceId) -> Result<Vec<RunningServer>, RuntimeError> {
        let mut servers = running_servers(&self.state_dir).map_err(|source| failed(action, id, source))?;
        servers.retain(|server| server.labels.id == *id);
        Ok(servers)
    }

    /// Ends the servers of an instance so that the reconciler starts another one and counts no
    /// failure. Returns false when none ran.
    async fn stop_servers(&self, target: &Target, grace: Duration) -> Result<bool, RuntimeError> {
        let servers = self.servers("stop", &target.id)?;
        if servers.is_empty() {
            return Ok(false);
        }
        require_reconciler(target)?;
        let home = self.home(&target.id)?;
        for server in servers {
            server.end_for_restart(&home, grace).await.map_err(|source| failed("stop", &target.id, source))?;
        }
        Ok(true)
    }
}

impl Manual for ProcessManual {
    fn instances(&self) -> ManualFuture<'_, Vec<InstanceId>> {
        Box::pin(async {
            let servers = running_servers(&self.state_dir).map_err(|source| RuntimeError::Io {
                action: "look-up of the servers",
                instance: "all instances".to_owned(),
                source,
            })?;
            let jobs = running_jobs(&self.state_dir).map_err(|source| RuntimeError::Io {
                action: "look-up of the jobs",
                instance: "all instances".to_owned(),
                source,
            })?;
            let mut ids: Vec<InstanceId> = Vec::new();
            let servers = servers.into_iter().map(|server| server.labels.id);
            for id in servers.chain(jobs.into_iter().map(|job| job.labels.id)) {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            Ok(ids)
        })
    }

    fn names(&self, ids: &[InstanceId]) -> Result<Vec<String>, RuntimeError> {
        let servers = running_servers(&self.state_dir).map_err(|source| RuntimeError::Io {
            action: "look-up of the servers",
            instance: "all instances".to_owned(),
            source,
        })?;
        let name = |id: &InstanceId| {
            let server = servers.iter().find(|server| server.labels.id == *id);
            server.map(|server| format!("pid {}", server.pid)).unwrap_or_default()
        };
        Ok(ids.iter().map(name).collect())
    }

    fn home(&self, id: &InstanceId) -> Result<PathBuf, RuntimeError> {
        Ok(self.paths(id)?.home)
    }

    fn logs<'a>(&'a self, id: &'a InstanceId, lines: usize, follow: bool) -> ManualFuture<'a, OutputStream> {
        Box::pin(async move {
            let read_failed = {
                let id = id.clone();
                move |source| failed("reading of the log", &id, source)
            };
            let (reader, text) = Reader::from_the_end(self.paths(id)?.log, lines).map_err(&read_failed)?;
            let first = futures::stream::once(async move { Ok(output(text)) });
            if !follow {
                return Ok(first.boxed_local());
            }
            let rest = futures::stream::unfold((reader, read_failed), |(mut reader, read_failed)| async move {
                tokio::time::sleep(READ_INTERVAL).await;
                let text = reader.read_on().map(output).map_err(&read_failed);
                Some((text, (reader, read_failed)))
            });
            Ok(first.chain(rest).boxed_local())
        })
    }

    /// The command runs on this machine, in the data directory of the server. It gets the address
    /// of the server and none of its secrets.
    fn exec<'a>(&'a self, target: &'a Target, command: &'a ExecCommand) -> ManualFuture<'a, Exec> {
        Box::pin(async {
            let listen = target.listen.ok_or_else(|| unsupported(&target.id, "its document declares no address"))?;
            let data = self.declared_paths(target)?.data;
            let mut local = Command::new(&command.program);
            local.args(&command.arguments).current_dir(&data);
            local.env(DATA_DIR, &data).env(HOST, listen.ip().to_string()).env(PORT, listen.port().to_string());
            Ok(Exec::Local(local))
        })
    }

    fn restart<'a>(&'a self, target: &'a Target, grace: Duration) -> ManualFuture<'a, ()> {
        Box::pin(async move {
            require_reconciler(target)?;
            match self.stop_servers(target, grace).await? {
                true => Ok(()),
                false => Err(unsupported(&target.id, "no server of it runs; `mai status` shows why")),
            }
        })
    }

    fn is_running<'a>(&'a self, id: &'a InstanceId) -> ManualFuture<'a, bool> {
        Box::pin(async { Ok(!self.servers("look-up", id)?.is_empty()) })
    }

    fn stop<'a>(&'a self, target: &'a Target, grace: Duration) -> ManualFuture<'a, bool> {
        Box::pin(self.stop_servers(target, grace))
    }

    fn resume<'a>(&'a self, _id: &'a InstanceId, lock: MaintenanceLock) -> ManualFuture<'a, ()> {
        Box::pin(async {
            // The reconciler starts the server as soon as nothing is locked.
            drop(lock);
            Ok(())
        })
    }

    fn directories<'a>(&'a self, target: &'a Target) -> ManualFuture<'a, Directories> {
        Box::pin(async {
            let InstancePaths { data, backups, .. } = self.declared_paths(target)?;
            Ok(Directories { data, backups })
        })
    }

    fn make_places<'a>(
        &'a self,
        id: &'a InstanceId,
        storage: &'a Storage,
        _server: ServerKind,
    ) -> ManualFuture<'a, NewPlace> {
        Box::pin(async {
            let Storage { data, backups, .. } = storage;
            let key = paths::key(id)?;
            let paths = InstancePaths::declared(&self.state_dir, &key, data.path.as_deref(), backups.path.as_deref());
            paths.make(id)?;
            Ok(NewPlace { data: paths.data, owner: (geteuid().as_raw(), getegid().as_raw()) })
        })
    }

    fn fix_ownership<'a>(&'a self, target: &'a Target) -> ManualFuture<'a, Vec<OwnershipChange>> {
        Box::pin(async {
            let paths = self.declared_paths(target)?;
            paths.fix_ownership(&self.state_dir).map_err(|source| {
                let advice = match source.kind() {
                    io::ErrorKind::PermissionDenied => "; run this as root",
                    _ => "",
                };
                let source = io::Error::new(source.kind(), format!("{source}{advice}"));
                failed("change of the owner", &target.id, source)
            })
        })
    }

    fn take_down<'a>(&'a self, id: &'a InstanceId, grace: Duration) -> ManualFuture<'a, TakenDown> {
        Box::pin(async move {
            let servers = self.servers("stop", id)?;
            let mut jobs = running_jobs(&self.state_dir).map_err(|source| failed("stop", id, source))?;
            jobs.retain(|job| job.labels.id == *id);
            let ended = join_all(servers.iter().map(|server| server.end(grace)));
            // A job that was ended so is made again by the next reconciler.
            let ended_jobs = join_all(jobs.iter().map(|job| job.end(grace)));
            let (ended, ended_jobs) = futures::join!(ended, ended_jobs);
            let ended: io::Result<()> = ended.into_iter().chain(ended_jobs).collect();
            ended.map_err(|source| failed("stop", id, source))?;
            Ok(TakenDown::Stopped)
        })
    }

    fn retired<'a>(&'a self, used: &'a UsedPlaces) -> ManualFuture<'a, Vec<RetiredData>> {
        Box::pin(async {
            retired::list(&self.state_dir, used).map_err(|source| RuntimeError::Io {
                action: "look-up of retired data",
                instance: "all instances".to_owned(),
                source,
            })
        })
    }

    fn remove_retired<'a>(&'a self, retired: &'a RetiredData, used: &'a UsedPlaces) -> ManualFuture<'a, ()> {
        Box::pin(async { retired::remove(&self.state_dir, retired, used) })
    }
}

/// Fails where nothing would start a server that is stopped.
fn require_reconciler(target: &Target) -> Result<(), RuntimeError> {
    if target.is_reconciled {
        return Ok(());
    }
    Err(unsupported(
        &target.id,
        "no reconciler runs that would start its server again; run `mai compose`, or stop the server with `mai down`",
    ))
}

fn output(text: Vec<u8>) -> Output {
    Output { is_error: false, bytes: Bytes::from(text) }
}
