//! A container as named texts, from what is desired and from what the engine shows, to compare the
//! two.
//!
//! The engine fills in, reorders and renames; here both sides get one form. Our labels on a
//! container are not part of the comparison, so a container that somebody recreated with them is
//! seen as it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, EndpointSettings, HealthConfig, HostConfig, MountType, PortMap,
    RestartPolicyNameEnum,
};

use super::host_settings;
use super::image::Image;
use super::labels::OURS;
use crate::core::{Change, Effect, Field};

/// Version of the comparison, written to the labels of a container when it is created.
pub(super) const VERSION: &str = "3";

/// Returns whether the engine's update call changes a field while the container runs.
pub(super) fn is_updated_in_place(field: &Field) -> bool {
    use Field::{CpuShares, Cpus, Memory, MemoryReservation, RestartPolicy};
    matches!(field, Memory | MemoryReservation | Cpus | CpuShares | RestartPolicy) || is_since_version_2(field)
}

/// Returns whether a field is compared since version 2.
fn is_since_version_2(field: &Field) -> bool {
    use Field::{BlkioWeight, CpuRealtime, CpuSet, MemoryNodes, MemorySwap, PidsLimit};
    matches!(field, MemorySwap | CpuSet | MemoryNodes | CpuRealtime | PidsLimit | BlkioWeight)
}

/// Returns whether a field of a container that was created with `version` of the comparison is
/// compared. Engines have defaults for some fields, and a container is labelled with those that its
/// engine did not create as desired only since the version that compares them. An earlier one must
/// not be replaced because of a default.
pub(super) fn is_compared(field: &Field, version: &str) -> bool {
    match field {
        Field::Endpoint(_) | Field::HostSetting(_) => version == VERSION,
        Field::MemorySwap | Field::PidsLimit => matches!(version, "2" | VERSION),
        _ => true,
    }
}

/// Returns whether somebody can change a field of a container that exists.
pub(super) fn can_change_afterwards(field: &Field) -> bool {
    match field {
        Field::HostSetting(name) => host_settings::is_updatable(name),
        field => is_updated_in_place(field),
    }
}

/// Text of a value that is not set.
const NONE: &str = "none";
const CONNECTED: &str = "connected";

/// A container as named texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    image: Named,
    values: BTreeMap<Field, String>,
    /// An environment variable or a label that is not among the values is surplus.
    complete: bool,
}

/// An image by its reference, and by its id where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) reference: String,
    pub(super) id: Option<String>,
}

impl Named {
    /// Returns whether both are one image, whatever their references.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (Some(one), Some(other)) => one == other,
            _ => self.reference == other.reference,
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reference)?;
        match self.id.as_deref().map(|id| id.trim_start_matches("sha256:")) {
            Some(id) => write!(f, " ({})", &id[..id.floor_char_boundary(12)]),
            None => Ok(()),
        }
    }
}

impl Fields {
    /// Returns the desired container. `same_image` says whether the container it is compared with
    /// was created from this very image; only then do the image's own settings count.
    pub(super) fn desired(body: &ContainerCreateBody, image: Option<&Image>, same_image: bool) -> Self {
        let own = image.filter(|_| same_image);
        let mut values = BTreeMap::new();
        let named =
            Named { reference: body.image.clone().unwrap_or_default(), id: image.map(|image| image.id.clone()) };
        if let Some(image) = own {
            add_env(&mut values, &image.env);
            add_labels(&mut values, &image.labels);
        }
        add_env(&mut values, body.env.as_deref().unwrap_or_default());
        add_labels(&mut values, body.labels.as_ref().unwrap_or(&HashMap::new()));
        if let Some(user) = body.user.as_deref().or(own.map(|image| image.user.as_str())) {
            values.insert(Field::User, user.to_owned());
        }
        if let Some(image) = own {
            values.insert(Field::Command, command(&image.entrypoint, &image.command));
        }
        if let Some(health) = body.healthcheck.as_ref().or(own.and_then(|image| image.health.as_ref())) {
            values.insert(Field::HealthCheck, health_check(Some(health)));
        } else if own.is_some() {
            values.insert(Field::HealthCheck, health_check(None));
        }
        values.insert(Field::StopTimeout, number(body.stop_timeout));
        add_host(&mut values, body.host_config.as_ref().unwrap_or(&HostConfig::default()));
        for mount in body.host_config.iter().flat_map(|host| host.mounts.iter().flatten()) {
            let kind = match mount.typ {
                Some(MountType::VOLUME) => "volume",
                _ => "directory",
            };
            let source = mount.source.as_deref().unwrap_or_default();
            let target = mount.target.clone().unwrap_or_default();
            add_mount(&mut values, &target, kind, source, !mount.read_only.unwrap_or(false));
        }
        for (name, endpoint) in
            body.networking_config.iter().flat_map(|config| config.endpoints_config.iter().flatten())
        {
            values.insert(Field::Network(name.clone()), CONNECTED.to_owned());
            values.insert(Field::Endpoint(name.clone()), endpoint_text(endpoint, |_| false));
        }
        Self { image: named, values, complete: same_image }
    }

    /// Returns the container that the engine shows.
    pub(super) fn observed(container: &ContainerInspectResponse) -> Self {
        let mut values = BTreeMap::new();
        let config = container.config.clone().unwrap_or_default();
        let named = Named { reference: config.image.clone().unwrap_or_default(), id: container.image.clone() };
        add_env(&mut values, config.env.as_deref().unwrap_or_default());
        // Podman sets it at the start of a container.
        let hostname = Field::Env("HOSTNAME".to_owned());
        if let (Some(name), Some(id)) = (values.get(&hostname), &container.id)
            && name.len() == 12
            && id.starts_with(name.as_str())
        {
            values.remove(&hostname);
        }
        add_labels(&mut values, config.labels.as_ref().unwrap_or(&HashMap::new()));
        values.insert(Field::User, config.user.unwrap_or_default());
        values.insert(
            Field::Command,
            command(config.entrypoint.as_deref().unwrap_or_default(), config.cmd.as_deref().unwrap_or_default()),
        );
        values.insert(Field::HealthCheck, health_check(config.healthcheck.as_ref()));
        values.insert(Field::StopTimeout, number(config.stop_timeout));
        add_host(&mut values, container.host_config.as_ref().unwrap_or(&HostConfig::default()));
        for mount in container.mounts.iter().flatten() {
            let name = mount.name.as_deref().unwrap_or_default();
            let (kind, source) = match mount.typ.as_deref() {
                // A volume that the image declares and nobody named.
                Some("volume") if is_anonymous(name) => continue,
                Some("tmpfs") => continue,
                Some("volume") => ("volume", name),
                _ => ("directory", mount.source.as_deref().unwrap_or_default()),
            };
            add_mount(
                &mut values,
                mount.destination.as_deref().unwrap_or_default(),
                kind,
                source,
                mount.rw.unwrap_or(true),
            );
        }
        let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let own_name = container.name.as_deref().unwrap_or_default().trim_start_matches('/');
        let own_id = container.id.as_deref().unwrap_or_default();
        // Engines before 25 add the short id, Podman the name as well. Only names that a container
        // has during a replacement have a dot.
        let is_added =
            |alias: &str| alias.len() == 12 && own_id.starts_with(alias) || alias == own_name && own_name.contains('.');
        for (name, endpoint) in networks.into_iter().flatten() {
            values.insert(Field::Network(name.clone()), CONNECTED.to_owned());
            values.insert(Field::Endpoint(name.clone()), endpoint_text(endpoint, is_added));
        }
        Self { image: named, values, complete: true }
    }

    /// Returns names and values of everything that cannot be changed afterwards, sorted by name.
    /// They are hashed into a label; another set of fields would turn the hashes of existing
    /// containers wrong, so fields of later versions stay out.
    pub(super) fn lasting(&self) -> Vec<(String, &str)> {
        let image = self.image.id.as_ref().unwrap_or(&self.image.reference);
        let values = self.values.iter().filter(|(field, value)| is_lasting(field, value));
        let mut values: Vec<(String, &str)> =
            values.map(|(field, value)| (field.to_string(), value.as_str())).collect();
        values.sort();
        [(Field::Image.to_string(), image.as_str())].into_iter().chain(values).collect()
    }

    /// Returns the differences of `self`, the observed container, from `desired`, sorted by name.
    /// Values of `secrets`, names of environment variables, are not shown.
    pub(super) fn differences(&self, desired: &Self, secrets: &BTreeSet<String>) -> Vec<Change> {
        let surplus = |field: &Field| match field {
            Field::Env(_) | Field::Label(_) => desired.complete,
            Field::Network(_) | Field::Mount(_) | Field::Port(_) | Field::HostSetting(_) => true,
            _ => false,
        };
        // What it is in a network that it is about to join.
        let is_moot = |field: &Field| match field {
            Field::Endpoint(name) => !self.values.contains_key(&Field::Network(name.clone())),
            _ => false,
        };
        let fields: BTreeSet<&Field> =
            desired.values.keys().chain(self.values.keys().filter(|field| surplus(field))).collect();
        let mut changes: Vec<Change> = fields
            .into_iter()
            .filter(|field| !is_moot(field))
            .filter_map(|field| {
                let from = self.values.get(field).map_or(NONE, String::as_str);
                let to = desired.values.get(field).map_or(NONE, String::as_str);
                (from != to).then(|| change(field, from, to, secrets))
            })
            .collect();
        changes.sort_by_cached_key(|change| change.field.to_string());
        if !self.image.is_same(&desired.image) {
            let (from, to) = (self.image.to_string(), desired.image.to_string());
            changes.insert(0, Change { field: Field::Image, effect: Effect::Recreate, from, to });
        }
        changes
    }
}

/// Returns the effect of bringing a field of a running container to a value. Leaving a network was
/// declared together with the container, so it is not auxiliary. The engine cannot remove most
/// limits.
pub(super) fn effect(field: &Field, to: &str) -> Effect {
    match field {
        Field::Name | Field::Paused | Field::LeftOver | Field::SecretsFile => Effect::Auxiliary,
        Field::Network(_) if to == CONNECTED => Effect::Auxiliary,
        Field::Endpoint(_) => Effect::Auxiliary,
        Field::Network(_) | Field::RestartPolicy | Field::PidsLimit => Effect::InPlace,
        field if is_updated_in_place(field) && to != NONE => Effect::InPlace,
        _ => Effect::Recreate,
    }
}

fn is_lasting(field: &Field, value: &str) -> bool {
    match field {
        Field::Memory | Field::MemoryReservation | Field::Cpus | Field::CpuShares => value == NONE,
        Field::Network(_) | Field::Endpoint(_) | Field::HostSetting(_) | Field::RestartPolicy => false,
        field => !is_since_version_2(field),
    }
}

fn change(field: &Field, from: &str, to: &str, secrets: &BTreeSet<String>) -> Change {
    let secret = matches!(field, Field::Env(variable) if secrets.contains(variable));
    let shown = |value: &str, what: &str| if secret && value != NONE { what.to_owned() } else { value.to_owned() };
    Change {
        field: field.clone(),
        effect: effect(field, to),
        from: shown(from, "(a secret)"),
        to: shown(to, "(changed)"),
    }
}

fn add_env(values: &mut BTreeMap<Field, String>, env: &[String]) {
    for (name, value) in env.iter().filter_map(|variable| variable.split_once('=')) {
        values.insert(Field::Env(name.to_owned()), value.to_owned());
    }
}

fn add_labels(values: &mut BTreeMap<Field, String>, labels: &HashMap<String, String>) {
    for (name, value) in labels.iter().filter(|(name, _)| !name.starts_with(OURS)) {
        values.insert(Field::Label(name.clone()), value.clone());
    }
}

fn add_mount(values: &mut BTreeMap<Field, String>, target: &str, kind: &str, source: &str, writable: bool) {
    let mode = if writable { "" } else { ", read-only" };
    values.insert(Field::Mount(target.to_owned()), format!("{kind} {source}{mode}"));
}

fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn add_host(values: &mut BTreeMap<Field, String>, host: &HostConfig) {
    let mut add = |field: Field, value: String| values.insert(field, value);
    add(Field::Memory, bytes(host.memory));
    add(Field::MemorySwap, memory_swap(host));
    add(Field::MemoryReservation, bytes(host.memory_reservation));
    add(Field::Cpus, cpus(host));
    add(Field::CpuShares, number(host.cpu_shares));
    let text = |value: Option<&String>| value.filter(|text| !text.is_empty()).map_or(NONE, String::as_str).to_owned();
    add(Field::CpuSet, text(host.cpuset_cpus.as_ref()));
    add(Field::MemoryNodes, text(host.cpuset_mems.as_ref()));
    let realtime = [host.cpu_realtime_runtime, host.cpu_realtime_period];
    add(
        Field::CpuRealtime,
        listed(realtime.into_iter().flatten().filter(|time| *time > 0).map(|time| time.to_string())),
    );
    add(Field::PidsLimit, number(host.pids_limit));
    add(Field::BlkioWeight, number(host.blkio_weight.map(i64::from)));
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name);
    add(
        Field::RestartPolicy,
        match restart {
            None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO) => "no".to_owned(),
            Some(policy) => policy.to_string(),
        },
    );
    add(Field::Init, host.init.unwrap_or(false).to_string());
    add(Field::Privileged, host.privileged.unwrap_or(false).to_string());
    add(Field::ReadOnlyRoot, host.readonly_rootfs.unwrap_or(false).to_string());
    let capability = |name: &String| name.to_uppercase().trim_start_matches("CAP_").to_owned();
    add(Field::CapabilitiesDropped, listed(host.cap_drop.iter().flatten().map(capability)));
    add(Field::CapabilitiesAdded, listed(host.cap_add.iter().flatten().map(capability)));
    let security = host.security_opt.iter().flatten().map(|option| option.trim_end_matches(":true").replace('=', ":"));
    add(Field::SecurityOptions, listed(security.filter(|option| option != "label:disable")));
    add(Field::ExtraHosts, listed(host.extra_hosts.iter().flatten().cloned()));
    add(Field::Tmpfs, listed(host.tmpfs.iter().flatten().map(|(target, options)| format!("{target} {options}"))));
    let log = host.log_config.clone().unwrap_or_default();
    let options = log.config.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    add(Field::LogDriver, format!("{} {}", log.typ.unwrap_or_default(), listed(options)));
    for (port, address) in published(host.port_bindings.as_ref()) {
        values.insert(Field::Port(port), address);
    }
    values.extend(host_settings::settings(host));
}

/// Returns what a container is in a network: its aliases, and what somebody else gave it there.
fn endpoint_text(endpoint: &EndpointSettings, is_added: impl Fn(&str) -> bool) -> String {
    let aliases = endpoint.aliases.iter().flatten().filter(|alias| !is_added(alias)).cloned();
    let fixed = endpoint.ipam_config.as_ref();
    let addresses = fixed.into_iter().flat_map(|fixed| [&fixed.ipv4_address, &fixed.ipv6_address]).flatten();
    let addresses = addresses.filter(|address| !address.is_empty()).map(|address| format!("address {address}"));
    let links = endpoint.links.iter().flatten().map(|link| format!("link {link}"));
    let options = endpoint.driver_opts.iter().flatten().map(|(name, value)| format!("option {name}={value}"));
    let priority =
        endpoint.gw_priority.filter(|priority| *priority != 0).map(|priority| format!("priority {priority}"));
    listed(
        aliases.collect::<BTreeSet<String>>().into_iter().chain(addresses).chain(links).chain(options).chain(priority),
    )
}

fn published(ports: Option<&PortMap>) -> BTreeMap<String, String> {
    ports
        .into_iter()
        .flatten()
        .filter_map(|(port, bindings)| {
            let addresses = bindings.iter().flatten().map(|binding| {
                let ip = binding.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
                format!("{ip} port {}", binding.host_port.as_deref().unwrap_or_default())
            });
            Some((port.clone(), listed(addresses))).filter(|(_, addresses)| addresses != NONE)
        })
        .collect()
}

/// Returns the number of cores, whichever way the engine holds it.
fn cpus(host: &HostConfig) -> String {
    let nano = match (host.nano_cpus, host.cpu_quota, host.cpu_period) {
        (Some(nano), _, _) if nano > 0 => nano,
        (_, Some(quota), period) if quota > 0 => {
            let period = period.filter(|period| *period > 0).unwrap_or(100_000);
            (i128::from(quota) * 1_000_000_000 / i128::from(period)).try_into().unwrap_or(0)
        }
        // Without effect, but the engine refuses to limit the CPUs of such a container afterwards.
        (_, _, Some(period)) if period > 0 => return format!("{NONE}, period {period}"),
        _ => return NONE.to_owned(),
    };
    format!("{:.3}", nano as f64 / 1e9).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns the limit of memory and swap together; the engine's default for a container with a
/// memory limit is twice that.
fn memory_swap(host: &HostConfig) -> String {
    let limit = host.memory.filter(|bytes| *bytes > 0);
    match (limit, host.memory_swap.unwrap_or_default()) {
        (Some(memory), 0) => bytes(Some(memory.saturating_mul(2))),
        (Some(_), ..0) => "unlimited".to_owned(),
        (_, swap) => bytes(Some(swap)),
    }
}

fn bytes(amount: Option<i64>) -> String {
    const MIB: i64 = 1 << 20;
    match amount {
        Some(bytes) if bytes > 0 && bytes % MIB == 0 => format!("{} MiB", bytes / MIB),
        Some(bytes) if bytes > 0 => format!("{bytes} bytes"),
        _ => NONE.to_owned(),
    }
}

fn number(amount: Option<i64>) -> String {
    amount.filter(|amount| *amount > 0).map_or_else(|| NONE.to_owned(), |amount| amount.to_string())
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let mut items: Vec<String> = items.collect();
    items.sort();
    if items.is_empty() { NONE.to_owned() } else { items.join(", ") }
}

fn command(entrypoint: &[String], command: &[String]) -> String {
    entrypoint.iter().chain(command).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn health_check(check: Option<&HealthConfig>) -> String {
    let Some(check) = check else { return NONE.to_owned() };
    let test = check.test.as_deref().unwrap_or_default();
    if test.is_empty() || test.first().is_some_and(|first| first == "NONE") {
        return NONE.to_owned();
    }
    let seconds = |nanos: Option<i64>| nanos.unwrap_or(0) / 1_000_000_000;
    format!("{} every {} s", test.join(" "), seconds(check.interval))
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
