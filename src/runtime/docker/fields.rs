//! What a container is, as named texts: once from what is asked for, once from what the engine shows, so that the two can be compared.
//!
//! The engine fills in, reorders and renames; here both sides get one form. Labels that we wrote about a container are never what it is
//! compared by: a container that was made anew by hand with our labels on it is seen for what it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HealthConfig, HostConfig, MountType, PortMap, RestartPolicyNameEnum,
};

use super::image::Image;
use super::labels::OURS;
use crate::runtime::{Change, Drift};

/// The container bears another name than it should.
pub(super) const NAME: &str = "name";
/// It is paused.
pub(super) const PAUSED: &str = "paused";
/// A container that nothing needs any more.
pub(super) const LEFT_OVER: &str = "left over";
/// The file with its secret values is not there.
pub(super) const SECRETS_FILE: &str = "secrets file";
/// What the engine's own call for it can change while a container runs.
pub(super) const UPDATED: [&str; 5] = ["memory", "memory reserved", "cpus", "cpu weight", "restart"];
/// What is shown where nothing is.
const NONE: &str = "none";
const CONNECTED: &str = "connected";

/// A container as named texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    image: Named,
    values: BTreeMap<String, String>,
    /// Whether an environment variable or a label that is not named here is one too many.
    complete: bool,
}

/// An image by the name it was asked for by, and by its id where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    reference: String,
    id: Option<String>,
}

impl Named {
    /// The same image under another name is the same image.
    fn is(&self, other: &Self) -> bool {
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
    /// What is asked for. `same_image` says whether the container it is compared with was made from this very image: only then does
    /// what the image brings along count.
    pub(super) fn asked(body: &ContainerCreateBody, image: Option<&Image>, same_image: bool) -> Self {
        let brought = image.filter(|_| same_image);
        let mut values = BTreeMap::new();
        let named =
            Named { reference: body.image.clone().unwrap_or_default(), id: image.map(|image| image.id.clone()) };
        if let Some(image) = brought {
            add_env(&mut values, &image.env);
            add_labels(&mut values, &image.labels);
        }
        add_env(&mut values, body.env.as_deref().unwrap_or_default());
        add_labels(&mut values, body.labels.as_ref().unwrap_or(&HashMap::new()));
        if let Some(user) = body.user.as_deref().or(brought.map(|image| image.user.as_str())) {
            values.insert("user".to_owned(), user.to_owned());
        }
        if let Some(image) = brought {
            values.insert("command".to_owned(), command(&image.entrypoint, &image.command));
        }
        if let Some(health) = body.healthcheck.as_ref().or(brought.and_then(|image| image.health.as_ref())) {
            values.insert("health check".to_owned(), health_check(Some(health)));
        } else if brought.is_some() {
            values.insert("health check".to_owned(), health_check(None));
        }
        values.insert("stop timeout".to_owned(), number(body.stop_timeout));
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
        for network in body.networking_config.iter().flat_map(|config| config.endpoints_config.iter().flatten()) {
            values.insert(format!("network.{}", network.0), CONNECTED.to_owned());
        }
        Self { image: named, values, complete: same_image }
    }

    /// What the engine shows.
    pub(super) fn shown(container: &ContainerInspectResponse) -> Self {
        let mut values = BTreeMap::new();
        let config = container.config.clone().unwrap_or_default();
        let named = Named { reference: config.image.clone().unwrap_or_default(), id: container.image.clone() };
        add_env(&mut values, config.env.as_deref().unwrap_or_default());
        // Podman tells a container its name when it starts.
        if let (Some(name), Some(id)) = (values.get("env.HOSTNAME"), &container.id)
            && name.len() == 12
            && id.starts_with(name.as_str())
        {
            values.remove("env.HOSTNAME");
        }
        add_labels(&mut values, config.labels.as_ref().unwrap_or(&HashMap::new()));
        values.insert("user".to_owned(), config.user.unwrap_or_default());
        values.insert(
            "command".to_owned(),
            command(config.entrypoint.as_deref().unwrap_or_default(), config.cmd.as_deref().unwrap_or_default()),
        );
        values.insert("health check".to_owned(), health_check(config.healthcheck.as_ref()));
        values.insert("stop timeout".to_owned(), number(config.stop_timeout));
        add_host(&mut values, container.host_config.as_ref().unwrap_or(&HostConfig::default()));
        for mount in container.mounts.iter().flatten() {
            let name = mount.name.as_deref().unwrap_or_default();
            let (kind, source) = match mount.typ.as_deref() {
                // A volume that the image asked for and nobody named.
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
        for name in networks.into_iter().flat_map(HashMap::keys) {
            values.insert(format!("network.{name}"), CONNECTED.to_owned());
        }
        Self { image: named, values, complete: true }
    }

    /// Everything that cannot be changed afterwards, for a hash.
    pub(super) fn lasting(&self) -> impl Iterator<Item = (&str, &str)> {
        let image = self.image.id.as_ref().unwrap_or(&self.image.reference);
        let values = self.values.iter().filter(|(name, value)| !in_place(name, value));
        [("image", image.as_str())].into_iter().chain(values.map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Where `self` (what is) differs from `asked`. Values of `secrets`, names of environment variables, are not shown.
    pub(super) fn differences(&self, asked: &Self, secrets: &BTreeSet<String>) -> Vec<Change> {
        let surplus = |name: &str| match name.split_once('.') {
            Some(("env" | "label", _)) => asked.complete,
            Some(("network" | "mount" | "port", _)) => true,
            _ => false,
        };
        let names: BTreeSet<&String> =
            asked.values.keys().chain(self.values.keys().filter(|name| surplus(name))).collect();
        let image = (!self.image.is(&asked.image)).then(|| Change {
            field: "image".to_owned(),
            from: self.image.to_string(),
            to: asked.image.to_string(),
        });
        let others = names.into_iter().filter_map(|name| {
            let from = self.values.get(name).map_or(NONE, String::as_str);
            let to = asked.values.get(name).map_or(NONE, String::as_str);
            (from != to).then(|| change(name, from, to, secrets))
        });
        image.into_iter().chain(others).collect()
    }
}

/// What differences mean for a container that runs.
pub(super) fn drift(changes: Vec<Change>) -> Drift {
    match changes.iter().all(|change| in_place(&change.field, &change.to)) {
        _ if changes.is_empty() => Drift::None,
        true => Drift::InPlace(changes),
        false => Drift::Replace(changes),
    }
}

/// Whether a difference is beside the server: it is put right whatever the container was made for. What it may use at most, and which
/// networks it has no need of, was declared together with the rest of it.
pub(super) fn is_beside(change: &Change) -> bool {
    matches!(change.field.as_str(), NAME | PAUSED | LEFT_OVER | SECRETS_FILE)
        || (change.field.starts_with("network.") && change.to == CONNECTED)
}

/// Whether the engine can bring a field of a running container to a value. It cannot take a limit away.
pub(super) fn in_place(field: &str, to: &str) -> bool {
    match field {
        "restart" | NAME | PAUSED | LEFT_OVER | SECRETS_FILE => true,
        "memory" | "memory reserved" | "cpus" | "cpu weight" => to != NONE,
        other => other.starts_with("network."),
    }
}

fn change(name: &str, from: &str, to: &str, secrets: &BTreeSet<String>) -> Change {
    let secret = name.strip_prefix("env.").is_some_and(|variable| secrets.contains(variable));
    let shown = |value: &str, what: &str| if secret && value != NONE { what.to_owned() } else { value.to_owned() };
    Change { field: name.to_owned(), from: shown(from, "(a secret)"), to: shown(to, "(changed)") }
}

fn add_env(values: &mut BTreeMap<String, String>, env: &[String]) {
    for (name, value) in env.iter().filter_map(|variable| variable.split_once('=')) {
        values.insert(format!("env.{name}"), value.to_owned());
    }
}

fn add_labels(values: &mut BTreeMap<String, String>, labels: &HashMap<String, String>) {
    for (name, value) in labels.iter().filter(|(name, _)| !name.starts_with(OURS)) {
        values.insert(format!("label.{name}"), value.clone());
    }
}

fn add_mount(values: &mut BTreeMap<String, String>, target: &str, kind: &str, source: &str, writable: bool) {
    let mode = if writable { "" } else { ", read-only" };
    values.insert(format!("mount.{target}"), format!("{kind} {source}{mode}"));
}

fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn add_host(values: &mut BTreeMap<String, String>, host: &HostConfig) {
    let mut add = |name: &str, value: String| values.insert(name.to_owned(), value);
    add("memory", bytes(host.memory));
    add("memory reserved", bytes(host.memory_reservation));
    add("cpus", cpus(host));
    add("cpu weight", number(host.cpu_shares));
    let restart = host.restart_policy.as_ref().and_then(|policy| policy.name);
    add(
        "restart",
        match restart {
            None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO) => "no".to_owned(),
            Some(policy) => policy.to_string(),
        },
    );
    add("init", host.init.unwrap_or(false).to_string());
    add("privileged", host.privileged.unwrap_or(false).to_string());
    add("read-only root", host.readonly_rootfs.unwrap_or(false).to_string());
    let capability = |name: &String| name.to_uppercase().trim_start_matches("CAP_").to_owned();
    add("capabilities dropped", listed(host.cap_drop.iter().flatten().map(capability)));
    add("capabilities added", listed(host.cap_add.iter().flatten().map(capability)));
    let security = host.security_opt.iter().flatten().map(|option| option.trim_end_matches(":true").replace('=', ":"));
    add("security", listed(security.filter(|option| option != "label:disable")));
    add("extra hosts", listed(host.extra_hosts.iter().flatten().cloned()));
    add("tmpfs", listed(host.tmpfs.iter().flatten().map(|(target, options)| format!("{target} {options}"))));
    let log = host.log_config.clone().unwrap_or_default();
    let options = log.config.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    add("log", format!("{} {}", log.typ.unwrap_or_default(), listed(options)));
    for (port, address) in published(host.port_bindings.as_ref()) {
        values.insert(format!("port.{port}"), address);
    }
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

/// Cores, however the engine keeps them.
fn cpus(host: &HostConfig) -> String {
    let nano = match (host.nano_cpus, host.cpu_quota, host.cpu_period) {
        (Some(nano), _, _) if nano > 0 => nano,
        (_, Some(quota), period) if quota > 0 => {
            let period = period.filter(|period| *period > 0).unwrap_or(100_000);
            (i128::from(quota) * 1_000_000_000 / i128::from(period)).try_into().unwrap_or(0)
        }
        _ => return NONE.to_owned(),
    };
    format!("{:.3}", nano as f64 / 1e9).trim_end_matches('0').trim_end_matches('.').to_owned()
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
