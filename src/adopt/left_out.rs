//! Fields of a service that have no place in a document. Each is named; none is dropped silently.

use serde_json::Value;

use super::environment::HOST_GATEWAY;
use super::project::{is_nothing, names, text};

/// Fields that are translated elsewhere, or that say nothing about what runs.
const READ: [&str; 22] = [
    "env_file",
    "extends",
    "image",
    "container_name",
    "volumes",
    "ports",
    "expose",
    "environment",
    "restart",
    "extra_hosts",
    "networks",
    "network_mode",
    "labels",
    "deploy",
    "cpus",
    "mem_limit",
    "mem_reservation",
    "init",
    "pull_policy",
    "depends_on",
    "tty",
    "stdin_open",
];
/// Fields that mai does by itself, with what it does.
const DONE: [(&str, &str); 12] = [
    ("healthcheck", "mai asks over HTTP by itself; spec.health says how often"),
    ("profiles", "an instance runs as long as its document is there; spec.suspend stops it"),
    ("read_only", "containers of instances are not read-only; their data is all that outlives a replacement"),
    ("user", "the server runs as the user of its image; `mai fix-permissions` gives it the data"),
    ("secrets", "files below /run/secrets are not there; name the values in server.env with secretRef"),
    ("configs", "further files are not there; what the server needs has to be in its image or its environment"),
    ("gpus", "instances have no GPU; run models in a service of their own"),
    ("devices", "instances have no devices; run models in a service of their own"),
    ("device_requests", "instances have no GPU; run models in a service of their own"),
    ("runtime", "containers of instances use the engine's default runtime"),
    ("scale", "an instance has one container"),
    ("command", "the image's own command runs"),
];

/// Tells the fields of a service that are left out.
pub(super) fn tell(service: &Value, told: &mut Vec<String>) {
    for entry in extra_hosts(&service["extra_hosts"]) {
        let (host, to) = entry.split_once([':', '=']).unwrap_or((&entry, ""));
        if host != HOST_GATEWAY || to != "host-gateway" {
            told.push(format!("extra_hosts: {host}:{to}: only {HOST_GATEWAY} is known to instances, and always"));
        }
    }
    if matches!(text(&service["restart"]).as_deref(), Some("no" | "false")) {
        told.push("restart: mai starts again whatever ends; spec.suspend stops an instance".to_owned());
    }
    let others = names(&service["depends_on"]);
    if !others.is_empty() {
        told.push(format!("depends_on: {}: an instance waits for no other service", others.join(", ")));
    }
    deploy(&service["deploy"], told);
    for (field, value) in service.as_object().into_iter().flatten() {
        let done = DONE.iter().find(|(name, _)| name == field);
        let is_read = READ.contains(&field.as_str()) && done.is_none();
        let says_nothing = is_nothing(value) || (field == "scale" && text(value).as_deref() == Some("1"));
        if is_read || says_nothing || field.starts_with("x-") {
            continue;
        }
        let why = done.map_or("there is no such field in a MaiInstance", |(_, why)| *why);
        told.push(format!("{field}: {why}"));
    }
}

fn deploy(deploy: &Value, told: &mut Vec<String>) {
    for (field, value) in deploy.as_object().into_iter().flatten().filter(|(_, value)| !is_nothing(value)) {
        match (field.as_str(), text(value).as_deref()) {
            ("replicas", Some("1")) | ("mode", Some("replicated")) | ("resources", _) => {}
            ("replicas", count) => told.push(format!(
                "deploy.replicas: {}: an instance has one container, since its database has one writer",
                count.unwrap_or_default()
            )),
            _ => told.push(format!("deploy.{field}: there is no such field in a MaiInstance")),
        }
    }
    let resources = &deploy["resources"];
    for (part, fields) in [("limits", ["cpus", "memory"]), ("reservations", ["cpus", "memory"])] {
        for (field, _) in resources[part].as_object().into_iter().flatten().filter(|(_, value)| !is_nothing(value)) {
            match field.as_str() {
                "devices" => told.push(
                    "deploy.resources.reservations.devices: instances have no GPU; run models in a service of their own"
                        .to_owned(),
                ),
                field if !fields.contains(&field) => {
                    told.push(format!("deploy.resources.{part}.{field}: there is no such field in a MaiInstance"));
                }
                _ => {}
            }
        }
    }
}

fn extra_hosts(declared: &Value) -> Vec<String> {
    match declared {
        Value::Object(hosts) => hosts
            .iter()
            .flat_map(|(host, to)| {
                let several = names(to).into_iter().chain(text(to));
                several.map(|to| format!("{host}={to}")).collect::<Vec<_>>()
            })
            .collect(),
        declared => names(declared),
    }
}
