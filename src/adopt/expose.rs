//! Ports, networks and labels of the service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use mai_contract::environment;
use mai_contract::http::PORT;
use serde_json::{Map, Value, json};

use super::MOST_LABELS;
use super::project::{Project, external_name, is_nothing, names, pairs, text};
use super::secrecy::is_secret_label;

/// Beginnings of labels by which other programs update, stop or start containers.
const UPDATERS: [&str; 9] = [
    "com.centurylinklabs.watchtower",
    "wud.",
    "diun.",
    "autoheal",
    "io.containers.autoupdate",
    "com.ouroboros",
    "ofelia.",
    "sablier.",
    "docker-volume-backup.",
];

/// One published port.
#[derive(Debug)]
struct Published {
    address: Option<String>,
    port: String,
    target: String,
    protocol: String,
    written: String,
}

/// Returns `spec.expose`, and tells what is not in it.
pub(super) fn expose(project: &Project, told: &mut Vec<String>) -> Map<String, Value> {
    let mut expose = Map::new();
    ports(project, &mut expose, told);
    networks(project, &mut expose, told);
    labels(project, &mut expose, told);
    expose
}

fn ports(project: &Project, expose: &mut Map<String, Value>, told: &mut Vec<String>) {
    let service = &project.service;
    let variables = pairs(&service["environment"]);
    let variable = |name: &str| variables.iter().find(|(known, _)| known == name).and_then(|(_, value)| value.clone());
    let listens = variable(environment::PORT).filter(|port| port.parse::<u16>().is_ok());
    let target = listens.unwrap_or_else(|| PORT.to_string());
    let mode = text(&service["network_mode"]).unwrap_or_default();
    if mode == "host" {
        let address = variable(environment::HOST).filter(|host| host.parse::<IpAddr>().is_ok());
        expose.insert("port".to_owned(), json!(target.parse::<u16>().unwrap_or(PORT)));
        expose.insert("address".to_owned(), json!(address.unwrap_or_else(|| "0.0.0.0".to_owned())));
        told.push(format!(
            "network_mode: host: an instance has a network of its own and publishes port {target}; ports of this server that it uses are not its own any more"
        ));
        return;
    }
    let mut seen = BTreeSet::new();
    for port in service["ports"].as_array().into_iter().flatten() {
        let published = published(port);
        if !seen.insert((published.address.clone(), published.port.clone(), published.target.clone())) {
            continue;
        }
        let written = &published.written;
        match published.port.parse::<u16>() {
            Ok(number) if number > 0 && published.target == target && published.protocol == "tcp" => {
                if expose.contains_key("port") {
                    told.push(format!(
                        "ports: {written}: an instance has one port; for HTTPS put a reverse proxy in front of it"
                    ));
                    continue;
                }
                expose.insert("port".to_owned(), json!(number));
                expose.insert("address".to_owned(), json!(published.address.unwrap_or_else(|| "0.0.0.0".to_owned())));
            }
            _ => told.push(format!("ports: {written}: only one fixed port to {target} can be declared")),
        }
    }
    if !expose.contains_key("port") {
        told.push("ports: none is published; set spec.expose.port to one that is free on this server".to_owned());
    }
    match mode.split_once(':') {
        Some((kind @ ("service" | "container"), other)) => told.push(format!(
            "network_mode: {mode}: the ports are those of the {kind} {other}; an instance has a network of its own, and publishes its own port"
        )),
        _ if !mode.is_empty() && mode != "bridge" => {
            told.push(format!("network_mode: {mode}: there is no such field in a MaiInstance"));
        }
        _ => {}
    }
}

fn networks(project: &Project, expose: &mut Map<String, Value>, told: &mut Vec<String>) {
    let declared = &project.service["networks"];
    let mut networks = Vec::new();
    for key in names(declared) {
        let options = &declared[key.as_str()];
        for option in options.as_object().into_iter().flatten().filter(|(_, value)| !is_nothing(value)) {
            told.push(format!("networks: {key}: {}: there is no such field in a MaiInstance", option.0));
        }
        match external_name(&project.file["networks"][key.as_str()], &key) {
            Some(name) => networks.push(name),
            None if key == "default" => {}
            None => told.push(format!(
                "networks: {key}: it belongs to the Compose project; all instances share the network mai"
            )),
        }
    }
    if !networks.is_empty() {
        expose.insert("networks".to_owned(), json!(networks));
    }
}

fn labels(project: &Project, expose: &mut Map<String, Value>, told: &mut Vec<String>) {
    let mut kept = Map::new();
    let mut surplus = Vec::new();
    for (name, value) in pairs(&project.service["labels"]) {
        let value = value.unwrap_or_default();
        if name.starts_with("com.docker.compose.") {
            continue;
        }
        if UPDATERS.iter().any(|updater| name.starts_with(updater)) {
            told.push(format!(
                "labels: {name}: another program updates, stops or starts the container by it, in the way of mai; spec.image, spec.upgrade and spec.backup say what mai does"
            ));
        } else if is_secret_label(&name, &value) {
            told.push(format!(
                "labels: {name}: its value is or holds a secret, which everybody could read in a document; keep it in the configuration of the proxy"
            ));
        } else if name.starts_with("mai.dev/") {
            told.push(format!("labels: {name}: mai.dev/ is reserved"));
        } else if kept.len() >= MOST_LABELS {
            surplus.push(name);
        } else {
            kept.insert(name, json!(value));
        }
    }
    if !surplus.is_empty() {
        told.push(format!("labels: a document holds {MOST_LABELS}; these are left out: {}", surplus.join(", ")));
    }
    if !kept.is_empty() {
        expose.insert("labels".to_owned(), Value::Object(kept));
    }
}

fn published(port: &Value) -> Published {
    if port.is_object() {
        let field = |field: &str| text(&port[field]).unwrap_or_default();
        let address = text(&port["host_ip"]).filter(|ip| !ip.is_empty());
        let protocol = text(&port["protocol"]).unwrap_or_else(|| "tcp".to_owned());
        let written = format!("{}:{}", field("published"), field("target"));
        return Published { address, port: field("published"), target: field("target"), protocol, written };
    }
    let written = text(port).unwrap_or_default();
    let (plain, protocol) = written.split_once('/').unwrap_or((&written, "tcp"));
    let mut parts = plain.rsplitn(3, ':');
    let (target, published) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let address = parts.next().map(|ip| ip.trim_matches(['[', ']']).to_owned()).filter(|ip| !ip.is_empty());
    Published {
        address,
        port: published.to_owned(),
        target: target.to_owned(),
        protocol: protocol.to_owned(),
        written: written.clone(),
    }
}
