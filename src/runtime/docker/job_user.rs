//! The user of a job: that of the server, so that it may read the data and what it leaves behind
//! belongs to the server.

use std::os::unix::fs::MetadataExt;

use mai_contract::files::{BACKUPS, DATA, USER};
use mai_contract::job::Order;

use super::engine::Engine;
use super::error::failed;
use super::names::Names;
use super::owner;
use crate::core::{InstanceId, Job};
use crate::runtime::RuntimeError;

/// Capabilities of a job of a server that runs as root: the files may belong to others, and so do
/// those that SQLite creates next to a database. A server has them, too, and more.
const OF_ROOT: [&str; 3] = ["CHOWN", "DAC_OVERRIDE", "FOWNER"];

/// User and group of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobUser {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl JobUser {
    /// User of our own image.
    pub(super) const OURS: Self = Self { uid: USER, gid: USER };

    /// Returns the capabilities it keeps.
    pub(super) fn capabilities(self) -> Vec<String> {
        if self.uid == 0 { OF_ROOT.map(str::to_owned).into() } else { Vec::new() }
    }
}

impl Engine {
    /// Returns the user of the server of an instance, where it is known before a container of the
    /// job exists: from the container of the server, or else from the data on this machine. Data that
    /// the job makes is given to a server of ours.
    pub(super) async fn known_user(
        &self,
        id: &InstanceId,
        names: &Names,
        job: &Job,
    ) -> Result<Option<JobUser>, RuntimeError> {
        if let Some(server) = &self.containers(id, names).await?.active
            && let Some(inspected) = self.inspect(id, server).await?
            && let Some((uid, gid)) = owner::numbers(&inspected)
        {
            return Ok(Some(JobUser { uid, gid }));
        }
        if job.order.makes_data() && job.storage.confined {
            return Ok(Some(JobUser::OURS));
        }
        if !self.owns_engine_files {
            return Ok(None);
        }
        let place = self.volumes(id, names).place(&job.storage.data, &names.data).await?;
        let top = place.and_then(|place| place.metadata().ok());
        Ok(top.map(|top| JobUser { uid: top.uid(), gid: top.gid() }))
    }

    /// Returns the owner of the data that the container of a job mounts, or of the backups where it has
    /// no access to the data.
    pub(super) async fn owner_of_data(
        &self,
        id: &InstanceId,
        container: &str,
        order: &Order,
    ) -> Result<Option<JobUser>, RuntimeError> {
        let place = if order.is_drill() { BACKUPS } else { DATA };
        let top = owner::top(&self.docker, container, place).await;
        let top = top.map_err(failed("inspection of the owner of a volume", id))?;
        Ok(top.and_then(|top| Some(JobUser { uid: top.owner?, gid: top.group? })))
    }
}
