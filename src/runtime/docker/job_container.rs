//! The container of a job: what it is created from, and how it is found among all of the engine.
//!
//! Its label keeps it apart from the containers of servers, whatever its name is.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount, MountType, RestartPolicy, RestartPolicyNameEnum,
};
use mai_contract::files::{BACKUPS, DATA};
use mai_contract::job::{Order, Store};

use super::containers::{self, ContainerRef};
use super::job_user::JobUser;
use super::labels::{self, JOB};
use super::names::{Names, SHARED_NETWORK};
use super::spec::volume_mount;
use crate::core::{InstanceId, Job};

/// Memory that a job may use.
pub(super) const MEMORY: i64 = 256 << 20;
/// CPU shares of a job, of which a server without a reservation has 1024.
const CPU_SHARES: i64 = 256;
/// Points that make the kernel end a job before a server, when the machine runs out of memory.
const OOM_SCORE: i64 = 500;
/// Most processes and threads of a job.
const PROCESSES: i64 = 128;
/// Seconds that a job gets to end after SIGTERM.
const GRACE: i64 = 10;
/// Directory of its order and secrets in the container.
const FILES: &str = "/run/job";
/// Directory of its copies of databases, or of the data of a drill: an anonymous volume, which is
/// removed with the container.
/// The backups volume would not do, since the server may write to it.
pub(super) const STAGING: &str = "/run/staging";

/// The container of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JobContainer {
    /// Name of the job.
    pub(super) job: String,
    /// Its instance.
    pub(super) owner: InstanceId,
    /// Id of the state directory that it was created from.
    pub(super) state: String,
    /// The container.
    pub(super) reference: ContainerRef,
    /// It was started at some time.
    pub(super) was_started: bool,
}

impl JobContainer {
    /// Returns the container of the job of an instance.
    pub(super) fn find(id: &InstanceId, all: &[ContainerSummary]) -> Option<Self> {
        // One that was started is not hidden by the rest of an interrupted start.
        let found = all.iter().filter_map(Self::read).filter(|job| job.owner.uid == id.uid);
        found.max_by_key(|job| job.was_started)
    }

    /// Returns the container of a name, if it is that of a job.
    pub(super) fn named(name: &str, all: &[ContainerSummary]) -> Option<Self> {
        all.iter().filter(|container| containers::name(container) == Some(name)).find_map(Self::read)
    }

    fn read(container: &ContainerSummary) -> Option<Self> {
        use ContainerSummaryStateEnum::{CREATED, EMPTY};
        let labels = container.labels.as_ref()?;
        Some(Self {
            job: labels.get(JOB)?.clone(),
            owner: labels::read_owner(labels)?,
            state: labels::read_state(labels).unwrap_or_default().to_owned(),
            reference: ContainerRef {
                id: container.id.clone()?,
                name: containers::name(container)?.to_owned(),
                is_running: containers::is_running(container),
                awaits_restart: false,
            },
            was_started: !matches!(container.state, Some(CREATED | EMPTY) | None),
        })
    }
}

/// Returns the container of a job that runs as `user` and reads its order and secrets from `files`.
pub(super) fn container(
    id: &InstanceId,
    state: &str,
    job: &Job,
    names: &Names,
    user: JobUser,
    files: &Path,
) -> ContainerCreateBody {
    let mut labels = labels::owner(id, state);
    labels.insert(JOB.to_owned(), job.name.clone());
    let goes_out = needs_network(&job.order);
    ContainerCreateBody {
        image: job.image.clone(),
        user: Some(format!("{}:{}", user.uid, user.gid)),
        cmd: Some(command()),
        labels: Some(labels.into_iter().collect()),
        stop_timeout: Some(GRACE),
        // The image's own asks a server.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        host_config: Some(HostConfig {
            memory: Some(MEMORY),
            memory_swap: Some(MEMORY.saturating_mul(2)),
            cpu_shares: Some(CPU_SHARES),
            oom_score_adj: Some(OOM_SCORE),
            pids_limit: Some(PROCESSES),
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
            init: Some(true),
            privileged: Some(false),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([("/tmp".to_owned(), "rw,noexec,nosuid,nodev,size=64m,mode=1777".to_owned())])),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(user.capabilities()).filter(|capabilities| !capabilities.is_empty()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            extra_hosts: goes_out.then(|| vec!["host.docker.internal:host-gateway".to_owned()]),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(
                    [("max-size", "1m"), ("max-file", "2")]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
            }),
            network_mode: Some(if goes_out { SHARED_NETWORK } else { "none" }.to_owned()),
            mounts: Some(mounts(job, names, files)),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Returns whether a job has to reach another machine.
pub(super) fn needs_network(order: &Order) -> bool {
    order.destinations().iter().any(|destination| matches!(destination.store, Store::S3(_)))
}

/// Returns the arguments of our program; the image's entrypoint is the program.
fn command() -> Vec<String> {
    let (order, secrets) = (format!("{FILES}/order.json"), format!("{FILES}/secrets"));
    let arguments =
        ["job", "--order", &order, "--data", DATA, "--backups", BACKUPS, "--secrets", &secrets, "--staging", STAGING];
    arguments.map(str::to_owned).into()
}

fn mounts(job: &Job, names: &Names, files: &Path) -> Vec<Mount> {
    let bind = |target: String, source: String, read_only: bool| Mount {
        target: Some(target),
        source: Some(source),
        typ: Some(MountType::BIND),
        read_only: Some(read_only),
        ..Mount::default()
    };
    let directories: BTreeSet<String> = job.directories.iter().map(|path| path.display().to_string()).collect();
    let (data, backups) = (&job.storage.data, &job.storage.backups);
    let is_drill = job.order.is_drill();
    let data = (!is_drill).then(|| volume_mount(DATA, data.path.as_deref(), data.volume.as_deref(), &names.data));
    let backups = job.order.uses_backups_volume().then(|| Mount {
        read_only: Some(is_drill),
        ..volume_mount(BACKUPS, backups.path.as_deref(), backups.volume.as_deref(), &names.backups)
    });
    let own = [
        bind(FILES.to_owned(), files.display().to_string(), true),
        Mount { target: Some(STAGING.to_owned()), typ: Some(MountType::VOLUME), ..Mount::default() },
    ];
    let directories = directories.into_iter().map(|path| bind(path.clone(), path, is_drill));
    data.into_iter().chain(backups).chain(own).chain(directories).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(uid: &str) -> InstanceId {
        InstanceId { namespace: "default".into(), name: "abc".into(), uid: uid.into() }
    }

    fn container(name: &str, uid: &str, job: &str, state: ContainerSummaryStateEnum) -> ContainerSummary {
        let mut labels = labels::owner(&id(uid), "s");
        if !job.is_empty() {
            labels.insert(JOB.to_owned(), job.to_owned());
        }
        ContainerSummary {
            id: Some(format!("id of {name}")),
            names: Some(vec![format!("/{name}")]),
            state: Some(state),
            labels: Some(labels.into_iter().collect()),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn job_is_found_by_the_uid_of_its_instance_and_its_label() {
        use ContainerSummaryStateEnum::{CREATED, EXITED, RUNNING};
        let all = [
            container("mai-abc", "1", "", RUNNING),
            container("mai-abc.job", "2", "a", RUNNING),
            container("renamed", "1", "b", EXITED),
            container("interrupted", "1", "c", CREATED),
        ];
        let found = JobContainer::find(&id("1"), &all).unwrap();
        assert_eq!((found.job.as_str(), found.was_started, found.reference.is_running), ("b", true, false));
        assert!(!JobContainer::find(&id("1"), &all[3..]).unwrap().was_started);
        assert_eq!(JobContainer::find(&id("1"), &all[..2]), None);
        assert_eq!(JobContainer::named("mai-abc.job", &all).unwrap().owner, id("2"));
        assert_eq!(JobContainer::named("mai-abc", &all), None);
    }
}
