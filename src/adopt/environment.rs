//! Environment variables of the service: fields of the document, variables of the server, or values
//! of its Secret.

use std::collections::BTreeMap;

use mai_contract::environment as name;
use serde_json::{Map, Value, json};

use super::project::{Project, pairs};
use super::secrecy::{has_credentials, host_of, is_secret};
use super::{AdoptError, MOST_VARIABLES};
use crate::api::ServerKind;

/// The name by which a container reaches the machine that it runs on.
pub(super) const HOST_GATEWAY: &str = "host.docker.internal";

/// Parts of a document that the environment decides.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Fields of the spec.
    pub(super) spec: Map<String, Value>,
    /// Fields of `spec.server`.
    pub(super) server: Map<String, Value>,
    /// Values of the Secret.
    pub(super) secrets: BTreeMap<String, String>,
    /// Sentences on what is left out or works differently.
    pub(super) told: Vec<String>,
}

/// Translates the environment of a service for an instance of this name.
pub(super) fn translate(project: &Project, instance: &str, kind: ServerKind) -> Result<Environment, AdoptError> {
    let mut found = Environment::default();
    let mut upstream = Map::new();
    let mut env = Vec::new();
    for (variable, value) in pairs(&project.service["environment"]) {
        let Some(value) = value else {
            found.told.push(format!(
                "environment: {variable}: it has a value only where Compose runs; set it in server.env if it is needed"
            ));
            continue;
        };
        found.addresses(project, &variable, &value);
        let is_field = !value.is_empty() && !has_credentials(&value);
        match variable.as_str() {
            name::WEBUI_NAME | name::ENABLE_SIGNUP | name::WEBUI_SECRET_KEY | name::OPENAI_API_KEY
                if value.is_empty() => {}
            name::OPENAI_API_BASE_URL | name::OLLAMA_BASE_URL if value.is_empty() => {}
            name::WEBUI_NAME => drop(found.spec.insert("displayName".to_owned(), json!(value))),
            name::ENABLE_SIGNUP => {
                let signup = if value.eq_ignore_ascii_case("true") { "Open" } else { "FirstUserOnly" };
                found.spec.insert("access".to_owned(), json!({"signup": signup}));
            }
            name::ENV if matches!(value.as_str(), "prod" | "dev") => {
                found.server.insert("environment".to_owned(), json!(value));
            }
            name::DEFAULT_LOCALE if matches!(value.as_str(), "en" | "pl") => {
                found.server.insert("locale".to_owned(), json!(value));
            }
            name::OLLAMA_BASE_URL if is_field => {
                found.spec.insert("ollama".to_owned(), json!({"baseUrl": value}));
            }
            name::OPENAI_API_BASE_URL if is_field => drop(upstream.insert("baseUrl".to_owned(), json!(value))),
            name::OPENAI_API_KEY => {
                upstream.insert("apiKeySecretRef".to_owned(), found.secret(instance, &variable, value));
            }
            name::WEBUI_SECRET_KEY => {
                let reference = found.secret(instance, &variable, value);
                found.server.insert("secretKeyRef".to_owned(), reference);
            }
            name::PORT | name::HOST | name::DATA_DIR | name::EXIT_WITH_STDIN => {
                found.told.push(format!("environment: {variable}: mai sets it itself"));
            }
            _ if is_secret(&variable, &value) => {
                env.push(json!({"name": variable, "secretRef": found.secret(instance, &variable, value)}));
            }
            _ => env.push(json!({"name": variable, "value": value})),
        }
    }
    if kind == ServerKind::OpenWebUI || kind == ServerKind::Custom {
        found.other_database(project);
    }
    if env.len() > MOST_VARIABLES {
        let names = env.drain(MOST_VARIABLES..).filter_map(|entry| Some(entry["name"].as_str()?.to_owned()));
        let names = names.collect::<Vec<_>>();
        return Err(AdoptError::TooManyVariables(names.join(", ")));
    }
    if !upstream.is_empty() {
        found.spec.insert("openRouter".to_owned(), Value::Object(upstream));
    }
    if !env.is_empty() {
        found.server.insert("env".to_owned(), json!(env));
    }
    Ok(found)
}

impl Environment {
    fn secret(&mut self, instance: &str, variable: &str, value: String) -> Value {
        let key = variable.to_lowercase().replace('_', "-");
        self.secrets.insert(key.clone(), value);
        json!({"name": instance, "key": key})
    }

    /// Tells of addresses that mean something else in a container of mai's.
    fn addresses(&mut self, project: &Project, variable: &str, value: &str) {
        for url in value.split([';', ',', ' ']) {
            let Some(host) = host_of(url) else { continue };
            let is_local = host == "localhost" || host.starts_with("127.") || matches!(host, "::1" | "0.0.0.0");
            if is_local {
                self.told.push(format!(
                    "environment: {variable}: {host} will be the container itself; write {HOST_GATEWAY} for this server, and let what is asked there listen on more than {host}"
                ));
            } else if let Some(service) = project.service_reached_by(host) {
                self.told.push(format!(
                    "environment: {variable}: {host} is the service {service} of this Compose project, which an instance does not reach by that name; declare the project's network in spec.expose.networks (by default {}_default), or publish the service's port and write {HOST_GATEWAY}",
                    project.name
                ));
            }
        }
    }

    fn other_database(&mut self, project: &Project) {
        for (variable, value) in pairs(&project.service["environment"]) {
            let value = value.unwrap_or_default();
            let is_elsewhere = match variable.as_str() {
                "DATABASE_URL" => !value.is_empty() && !value.starts_with("sqlite:"),
                "DATABASE_TYPE" => !value.is_empty() && value != "sqlite",
                _ => false,
            };
            if is_elsewhere {
                self.told.push(format!(
                    "environment: {variable}: chats and accounts are in a database server of their own, not in the data of the instance: it has to be reachable from there, and mai's backups do not hold it"
                ));
            }
        }
    }
}
