//! The container of a workload.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType, NetworkingConfig,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use mai_contract::environment;
use mai_contract::files::{BACKUPS, DATA, SECRETS_FILE, USER};
use mai_contract::http::PORT;
use secrecy::ExposeSecret;

use super::fields::Fields;
use super::image::Image;
use super::labels::Labels;
use super::names::{Names, SHARED_NETWORK};
use super::networks::endpoint;
use crate::core::{EnvValue, SecretDelivery, Workload, hash_texts};

/// Shortest interval of the engine's health check, which costs 30 ms of CPU each time and serves
/// other tools; readiness is decided by our own probes.
const LEAST_HEALTH_INTERVAL: i64 = 30_000_000_000;

/// Most processes and threads of a container of our own image, whose server has about ten.
const OWN_PROCESSES: i64 = 256;
/// Most processes and threads of a container of another image, many times what Open WebUI has.
const OTHER_PROCESSES: i64 = 4096;

/// Returns the server's port in the engine's notation.
pub(super) fn container_port() -> String {
    format!("{PORT}/tcp")
}

/// Returns the container of a workload, without our labels. `secrets` is the file with its secret
/// values, if it reads one.
pub(super) fn container(
    workload: &Workload,
    names: &Names,
    image: Option<&Image>,
    secrets: Option<&Path>,
) -> ContainerCreateBody {
    let confined = workload.container.confined;
    ContainerCreateBody {
        image: Some(workload.image.clone()),
        user: confined.then(|| format!("{USER}:{USER}")),
        env: Some(environment(workload)),
        labels: Some(workload.container.labels.clone().into_iter().collect()),
        exposed_ports: Some(vec![container_port()]),
        stop_timeout: Some(i64::try_from(workload.stop_grace.as_secs()).unwrap_or(10).max(1)),
        healthcheck: image.and_then(|image| health(workload, image)),
        host_config: Some(HostConfig {
            memory: positive(workload.limits.memory_bytes),
            // The engine's default, explicit, so that an update can raise both together.
            memory_swap: positive(workload.limits.memory_bytes.map(|bytes| bytes.saturating_mul(2))),
            nano_cpus: positive(workload.limits.cpu_millis.map(|millis| millis.saturating_mul(1_000_000))),
            memory_reservation: positive(workload.container.reserved.memory_bytes),
            cpu_shares: positive(workload.container.reserved.cpu_millis.map(weight)),
            pids_limit: Some(if confined { OWN_PROCESSES } else { OTHER_PROCESSES }),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
                maximum_retry_count: None,
            }),
            init: Some(true),
            privileged: Some(false),
            readonly_rootfs: Some(confined),
            tmpfs: confined
                .then(|| HashMap::from([("/tmp".to_owned(), "rw,noexec,nosuid,nodev,size=64m,mode=1777".to_owned())])),
            cap_drop: confined.then(|| vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            extra_hosts: Some(vec!["host.docker.internal:host-gateway".to_owned()]),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".to_owned()),
                config: Some(
                    [("max-size", "10m"), ("max-file", "3")]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                ),
            }),
            port_bindings: Some(HashMap::from([(
                container_port(),
                Some(vec![PortBinding {
                    host_ip: Some(workload.listen.ip().to_string()),
                    host_port: Some(workload.listen.port().to_string()),
                }]),
            )])),
            network_mode: Some(SHARED_NETWORK.to_owned()),
            mounts: Some(mounts(workload, names, secrets)),
            ..HostConfig::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(
                networks(workload).into_iter().map(|name| (name.clone(), endpoint(&name, names))).collect(),
            ),
        }),
        ..ContainerCreateBody::default()
    }
}

/// Adds our labels to a container.
pub(super) fn label(body: &mut ContainerCreateBody, labels: &Labels) {
    body.labels.get_or_insert_default().extend(labels.write());
}

/// Returns every network of the container.
pub(super) fn networks(workload: &Workload) -> BTreeSet<String> {
    [SHARED_NETWORK.to_owned()].into_iter().chain(workload.container.networks.iter().cloned()).collect()
}

/// Returns the hash of every field that cannot be changed afterwards.
pub(super) fn recreate_hash(fields: &Fields) -> String {
    let lasting = fields.lasting();
    hash_texts(lasting.iter().flat_map(|(name, value)| [name.as_str(), *value]))
}

fn environment(workload: &Workload) -> Vec<String> {
    let in_file = workload.container.secrets == SecretDelivery::File;
    let values = workload.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Plain(text) => Some(format!("{name}={text}")),
        EnvValue::Secret(_) if in_file => None,
        EnvValue::Secret(text) => Some(format!("{name}={}", text.expose_secret())),
    });
    let named = in_file.then(|| format!("{}={SECRETS_FILE}", environment::SECRETS_FILE));
    values.chain(named).collect()
}

/// Returns the mount of a declared directory or volume, or of our `own` volume.
pub(super) fn volume_mount(target: &str, path: Option<&Path>, volume: Option<&str>, own: &str) -> Mount {
    Mount {
        target: Some(target.to_owned()),
        source: Some(path.map_or_else(|| volume.unwrap_or(own).to_owned(), |path| path.display().to_string())),
        typ: Some(if path.is_some() { MountType::BIND } else { MountType::VOLUME }),
        ..Mount::default()
    }
}

fn mounts(workload: &Workload, names: &Names, secrets: Option<&Path>) -> Vec<Mount> {
    let declared = &workload.container;
    let file = secrets.map(|file| Mount {
        target: Some(SECRETS_FILE.to_owned()),
        source: Some(file.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    });
    [
        volume_mount(DATA, workload.data_path.as_deref(), declared.data_volume.as_deref(), &names.data),
        volume_mount(BACKUPS, workload.backups_path.as_deref(), declared.backups_volume.as_deref(), &names.backups),
    ]
    .into_iter()
    .chain(file)
    .collect()
}

/// Returns the image's own health check at a bounded interval; for our own server a check by its
/// binary.
fn health(workload: &Workload, image: &Image) -> Option<HealthConfig> {
    let own = image.health.clone().filter(|check| check.test.as_ref().is_some_and(|test| !test.is_empty()));
    let mut check = match (own, image.entrypoint.as_slice()) {
        (Some(check), _) => check,
        (None, [program]) if workload.container.confined => HealthConfig {
            test: Some(vec!["CMD".to_owned(), program.clone(), "health".to_owned()]),
            timeout: Some(10_000_000_000),
            retries: Some(3),
            start_period: i64::try_from(workload.container.start_period.as_nanos())
                .ok()
                .filter(|nanos| *nanos > 1_000_000),
            ..HealthConfig::default()
        },
        (None, _) => return None,
    };
    check.interval = Some(check.interval.unwrap_or(0).max(LEAST_HEALTH_INTERVAL));
    // Engines with a start interval would check every 5 s during a start, which our own probes
    // cover.
    check.start_interval = None;
    Some(check)
}

/// Returns the CPU shares of a reservation: 1024 for a core, as in Kubernetes.
pub(super) fn weight(cpu_millis: u64) -> u64 {
    (cpu_millis.saturating_mul(1024) / 1000).max(2)
}

fn positive(amount: Option<u64>) -> Option<i64> {
    amount.and_then(|amount| i64::try_from(amount).ok()).filter(|amount| *amount > 0)
}
