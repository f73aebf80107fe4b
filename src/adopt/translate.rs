//! Translates a service of a Compose file to a document, field by field, and reports what is left
//! out.

use std::collections::BTreeMap;

use mai_contract::environment as name;
use mai_contract::files::{BACKUPS, DATA};
use mai_contract::http::PORT;
use serde_json::{Map, Value, json};

use super::service::{names, pairs, text};
use super::volumes::{mounts, project};
use super::{AdoptError, Adopted, Deployment, amounts};
use crate::api::{API_VERSION, ServerKind};

/// The one extra host that every container of ours has.
const HOST_GATEWAY: &str = "host.docker.internal";
/// Fields of a service that are read, or that mai does by itself.
const READ: [&str; 19] = [
    "image",
    "container_name",
    "volumes",
    "ports",
    "environment",
    "restart",
    "extra_hosts",
    "networks",
    "labels",
    "deploy",
    "cpus",
    "mem_limit",
    "mem_reservation",
    "healthcheck",
    "logging",
    "init",
    "hostname",
    "build",
    "pull_policy",
];

pub(super) fn translate(
    deployment: &Deployment<'_>,
    service_name: &str,
    file: &Value,
    service: &Value,
) -> Result<Adopted, AdoptError> {
    let container =
        text(&service["container_name"]).unwrap_or_else(|| format!("{}-{service_name}-1", project(deployment, file)));
    let own = container.strip_prefix("mai-").unwrap_or(&container);
    let name = instance_name(deployment.name.unwrap_or(own))?;
    let mut left_out = Vec::new();
    let mut secrets = BTreeMap::new();
    let mut spec = Map::from_iter([("displayName".to_owned(), json!(name))]);

    spec.extend(text(&service["image"]).map(|image| ("image".to_owned(), json!(image))));
    if text(&service["image"]).is_none() {
        left_out.push("image: the service is built by Compose; build it yourself and name it in spec.image".to_owned());
    }
    let policy = match text(&service["pull_policy"]).as_deref() {
        Some("always") => Some("Always"),
        Some("never") => Some("Never"),
        _ => None,
    };
    spec.extend(policy.map(|policy| ("imagePullPolicy".to_owned(), json!(policy))));
    let mut server = Map::new();
    let kind = deployment.kind.unwrap_or_else(|| guess(spec.get("image").and_then(Value::as_str).unwrap_or_default()));
    server.insert("kind".to_owned(), json!(kind));
    environment(service, &name, &mut spec, &mut server, &mut secrets, &mut left_out);
    spec.insert("server".to_owned(), Value::Object(server));

    let mut storage = Map::new();
    for mount in mounts(deployment, file, service) {
        let place = match mount.target.as_str() {
            DATA => "data",
            BACKUPS => "backups",
            other => {
                left_out.push(format!(
                    "volumes: {}: instances have data and backups alone, nothing at {other}",
                    mount.written
                ));
                continue;
            }
        };
        match mount.volume {
            Some(volume) => drop(storage.insert(place.to_owned(), volume)),
            None => left_out.push(format!("volumes: {}: it has no name, so it cannot be found again", mount.written)),
        }
    }
    if !storage.contains_key("data") {
        left_out.push(format!(
            "data: no volume is mounted at {DATA}, so what is in the container is lost when it is removed; copy it out first"
        ));
    }
    spec.insert("storage".to_owned(), Value::Object(storage));

    let resources = amounts::resources(service);
    if resources.as_object().is_some_and(|amounts| !amounts.is_empty()) {
        spec.insert("resources".to_owned(), resources);
    }
    spec.insert("expose".to_owned(), expose(file, service, &mut left_out));
    others(service, &mut left_out);

    let document = json!({"apiVersion": API_VERSION, "kind": "MaiInstance", "metadata": {"name": name}, "spec": spec});
    Ok(Adopted { name, document, secrets, container, left_out })
}

fn instance_name(wanted: &str) -> Result<String, AdoptError> {
    let name = wanted.to_lowercase().replace(['_', '.', ' '], "-");
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match plain && !name.is_empty() && !name.starts_with('-') && !name.ends_with('-') {
        true => Ok(name),
        false => Err(AdoptError::BadName(wanted.to_owned())),
    }
}

fn guess(image: &str) -> ServerKind {
    let name = image.rsplit('/').next().unwrap_or_default();
    if name.starts_with("open-webui") {
        ServerKind::OpenWebUI
    } else if name.starts_with("mai") {
        ServerKind::Mai
    } else {
        ServerKind::Custom
    }
}

fn environment(
    service: &Value,
    name: &str,
    spec: &mut Map<String, Value>,
    server: &mut Map<String, Value>,
    secrets: &mut BTreeMap<String, String>,
    left_out: &mut Vec<String>,
) {
    let mut env = Vec::new();
    let mut keep_secret = |variable: &str, value: String| {
        let key = variable.to_lowercase().replace('_', "-");
        secrets.insert(key.clone(), value);
        json!({"name": name, "key": key})
    };
    let mut upstream = Map::new();
    for (variable, value) in pairs(&service["environment"]) {
        let Some(value) = value else {
            left_out.push(format!(
                "environment: {variable}: its value is taken from wherever Compose runs; set it in server.env"
            ));
            continue;
        };
        match (variable.as_str(), value.as_str()) {
            (name::WEBUI_NAME, _) => drop(spec.insert("displayName".to_owned(), json!(value))),
            (name::ENABLE_SIGNUP, signup) => {
                let signup = if signup.eq_ignore_ascii_case("true") { "Open" } else { "FirstUserOnly" };
                spec.insert("access".to_owned(), json!({"signup": signup}));
            }
            (name::ENV, "prod" | "dev") => drop(server.insert("environment".to_owned(), json!(value))),
            (name::DEFAULT_LOCALE, "en" | "pl") => drop(server.insert("locale".to_owned(), json!(value))),
            (name::OLLAMA_BASE_URL, _) => drop(spec.insert("ollama".to_owned(), json!({"baseUrl": value}))),
            (name::OPENAI_API_BASE_URL, _) => drop(upstream.insert("baseUrl".to_owned(), json!(value))),
            (name::OPENAI_API_KEY, _) => {
                upstream.insert("apiKeySecretRef".to_owned(), keep_secret(&variable, value));
            }
            (name::WEBUI_SECRET_KEY, _) => {
                drop(server.insert("secretKeyRef".to_owned(), keep_secret(&variable, value)))
            }
            (name::PORT | name::HOST | name::DATA_DIR, _) => {
                left_out.push(format!("environment: {variable}={value}: mai sets it itself"));
            }
            (_, _) if is_secret(&variable) => {
                env.push(json!({"name": variable, "secretRef": keep_secret(&variable, value)}));
            }
            (_, _) => env.push(json!({"name": variable, "value": value})),
        }
    }
    if !upstream.is_empty() {
        spec.insert("openRouter".to_owned(), Value::Object(upstream));
    }
    if !env.is_empty() {
        server.insert("env".to_owned(), json!(env));
    }
}

/// By its name: a value that turns out to be harmless is no worse off in a Secret.
fn is_secret(variable: &str) -> bool {
    ["KEY", "SECRET", "TOKEN", "PASSWORD"].iter().any(|word| variable.to_ascii_uppercase().contains(word))
}

fn expose(file: &Value, service: &Value, left_out: &mut Vec<String>) -> Value {
    let mut expose = Map::new();
    for port in service["ports"].as_array().into_iter().flatten() {
        let (address, published, target, written) = published(port);
        match published.parse::<u16>() {
            Ok(number) if target == PORT.to_string() && !expose.contains_key("port") => {
                expose.insert("port".to_owned(), json!(number));
                expose.insert("address".to_owned(), json!(address));
            }
            Ok(_) if target == PORT.to_string() => left_out.push(format!(
                "ports: {written}: an instance has one port; for HTTPS put a reverse proxy in front of it"
            )),
            _ => left_out.push(format!("ports: {written}: only one fixed port to {PORT} can be declared")),
        }
    }
    if !expose.contains_key("port") {
        left_out.push("ports: none is published; set spec.expose.port to one that is free on this server".to_owned());
    }
    let mut networks = Vec::new();
    for key in names(&service["networks"]).into_iter().filter(|key| key != "default") {
        let declared = &file["networks"][key.as_str()];
        if declared["external"] == true {
            networks.push(text(&declared["name"]).unwrap_or(key));
        } else {
            left_out.push(format!(
                "networks: {key}: it belongs to the Compose project; all instances share the network mai"
            ));
        }
    }
    if !networks.is_empty() {
        expose.insert("networks".to_owned(), json!(networks));
    }
    let labels: Map<String, Value> = pairs(&service["labels"])
        .into_iter()
        .filter(|(name, _)| !name.starts_with("com.docker.compose."))
        .map(|(name, value)| (name, json!(value.unwrap_or_default())))
        .collect();
    if !labels.is_empty() {
        expose.insert("labels".to_owned(), Value::Object(labels));
    }
    Value::Object(expose)
}

/// Address, port of the host, port of the container, and how it is written.
fn published(port: &Value) -> (String, String, String, String) {
    let everywhere = || "0.0.0.0".to_owned();
    if port.is_object() {
        let of = |field: &str| text(&port[field]).unwrap_or_default();
        let address = text(&port["host_ip"]).unwrap_or_else(everywhere);
        return (address, of("published"), of("target"), port.to_string());
    }
    let written = text(port).unwrap_or_default();
    let plain = written.trim_end_matches("/tcp");
    let mut parts = plain.rsplitn(3, ':');
    let (target, published) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let address = parts.next().map(|ip| ip.trim_matches(['[', ']']).to_owned()).unwrap_or_else(everywhere);
    (address, published.to_owned(), target.to_owned(), written)
}

fn others(service: &Value, left_out: &mut Vec<String>) {
    for (host, to) in service["extra_hosts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(text)
        .filter_map(|entry| entry.split_once([':', '=']).map(|(host, to)| (host.to_owned(), to.to_owned())))
        .chain(
            service["extra_hosts"]
                .as_object()
                .into_iter()
                .flatten()
                .filter_map(|(host, to)| Some((host.clone(), text(to)?))),
        )
    {
        if host != HOST_GATEWAY || to != "host-gateway" {
            left_out.push(format!("extra_hosts: {host}:{to}: only {HOST_GATEWAY} is known to instances, and always"));
        }
    }
    if !service["healthcheck"].is_null() {
        left_out.push("healthcheck: mai asks over HTTP by itself; spec.health says how often".to_owned());
    }
    if service["restart"] == "no" || service["restart"] == false {
        left_out.push("restart: mai starts again whatever ends; spec.suspend stops an instance".to_owned());
    }
    for field in ["logging", "build", "hostname"].into_iter().filter(|field| !service[*field].is_null()) {
        left_out.push(format!("{field}: there is no such field in a MaiInstance"));
    }
    let unread = service.as_object().into_iter().flatten().map(|(field, _)| field.as_str());
    left_out.extend(
        unread
            .filter(|field| !READ.contains(field) && !field.starts_with("x-"))
            .map(|field| format!("{field}: there is no such field in a MaiInstance")),
    );
}
