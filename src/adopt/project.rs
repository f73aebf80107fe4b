//! A Compose project with the service that is adopted, and the forms in which Compose lets one write
//! the same thing.

use std::path::Path;

use serde_json::Value;

use super::AdoptError;
use super::reader::{Variables, read_yaml};

/// A resolved project: no variables, one file, the chosen service.
#[derive(Clone, Debug)]
pub struct Project {
    /// The whole file.
    pub(super) file: Value,
    /// Name of the service.
    pub(super) service_name: String,
    /// The service.
    pub(super) service: Value,
    /// Name of the project, with which Compose begins names of volumes and containers.
    pub(super) name: String,
    /// Sentences on what could not be read.
    pub(super) told: Vec<String>,
}

impl Project {
    /// Reads what `docker compose config --format json` or `docker-compose config` prints.
    pub fn from_config(
        config: &str,
        service: Option<&str>,
        variables: &Variables,
        directory: &Path,
    ) -> Result<Self, AdoptError> {
        let not_yaml = || AdoptError::NotYaml("what Compose printed is empty".to_owned());
        let mut file = match serde_json::from_str(config) {
            Ok(file) => file,
            Err(_) => read_yaml(config).map_err(AdoptError::NotYaml)?.pop().ok_or_else(not_yaml)?,
        };
        unescape(&mut file);
        let profiles = variables.get("COMPOSE_PROFILES").map_or("", String::as_str);
        let profiles: Vec<&str> = profiles.split(',').map(str::trim).collect();
        let (service_name, service) = choose(&file, service, &profiles)?;
        Ok(Self::new(file, service_name, service, variables, directory, Vec::new()))
    }

    pub(super) fn new(
        file: Value,
        service_name: String,
        mut service: Value,
        variables: &Variables,
        directory: &Path,
        told: Vec<String>,
    ) -> Self {
        // A name alone takes its value from where Compose runs.
        let environment = pairs(&service["environment"]).into_iter().map(|(name, value)| {
            let value = value.or_else(|| variables.get(&name).cloned());
            (name, value.map_or(Value::Null, Value::String))
        });
        service["environment"] = Value::Object(environment.collect());
        let declared = || text(&file["name"]).filter(|name| !name.is_empty());
        let from_directory = || directory.file_name().map(|name| name.to_string_lossy().into_owned());
        let given = variables.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty()).cloned();
        let name = given.or_else(declared).or_else(from_directory).unwrap_or_default();
        Self { name: normal_name(&name), file, service_name, service, told }
    }

    /// Returns the names that Compose gives to the container of the service: the declared one, or
    /// those of its second and first version.
    pub(super) fn containers(&self) -> Vec<String> {
        match text(&self.service["container_name"]).filter(|name| !name.is_empty()) {
            Some(name) => vec![name],
            None => ["-", "_"].map(|dash| format!("{}{dash}{}{dash}1", self.name, self.service_name)).into(),
        }
    }

    /// Returns the services by whose name `host` is reached inside the project, if it is one.
    pub(super) fn service_reached_by(&self, host: &str) -> Option<&str> {
        let services = self.file["services"].as_object()?;
        let others = services.iter().filter(|(name, _)| **name != self.service_name);
        others
            .filter(|(name, service)| {
                let networks = service["networks"].as_object().into_iter().flatten();
                let mut aliases = networks.flat_map(|(_, network)| names(&network["aliases"]));
                let names = [Some((*name).clone()), text(&service["container_name"]), text(&service["hostname"])];
                names.into_iter().flatten().any(|name| name == host) || aliases.any(|alias| alias == host)
            })
            .map(|(name, _)| name.as_str())
            .next()
    }
}

/// Returns the name and content of the wanted service, or of the only one that Compose would start.
pub(super) fn choose(file: &Value, wanted: Option<&str>, profiles: &[&str]) -> Result<(String, Value), AdoptError> {
    let services =
        file["services"].as_object().filter(|services| !services.is_empty()).ok_or(AdoptError::NoServices)?;
    let known = || services.keys().cloned().collect::<Vec<_>>().join(", ");
    let is_active = |service: &Value| {
        let of_service = names(&service["profiles"]);
        of_service.is_empty() || of_service.iter().any(|profile| profiles.contains(&profile.as_str()))
    };
    let active: Vec<&String> =
        services.iter().filter(|(_, service)| is_active(service)).map(|(name, _)| name).collect();
    let name = match (wanted, services.len(), active.as_slice()) {
        (Some(name), _, _) if services.contains_key(name) => name.to_owned(),
        (Some(name), _, _) => return Err(AdoptError::NoSuchService { name: name.to_owned(), known: known() }),
        (None, 1, _) => known(),
        (None, _, [one]) => (*one).clone(),
        (None, _, _) => return Err(AdoptError::SeveralServices(known())),
    };
    let service = services.get(&name).cloned().unwrap_or_default();
    match service.is_object() {
        true => Ok((name, service)),
        false => Err(AdoptError::NoServices),
    }
}

/// Compose writes `$` as `$$`, so that what it prints can be read by it again.
fn unescape(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("$$") => *text = text.replace("$$", "$"),
        Value::Array(items) => items.iter_mut().for_each(unescape),
        Value::Object(fields) => fields.values_mut().for_each(unescape),
        _ => {}
    }
}

fn normal_name(name: &str) -> String {
    let kept = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    name.to_lowercase().chars().filter(kept).collect::<String>().trim_start_matches(['-', '_']).to_owned()
}

/// `[A=1, B]` and `{A: 1, B:}` alike; a name without a value has none.
pub(super) fn pairs(value: &Value) -> Vec<(String, Option<String>)> {
    match value {
        Value::Array(items) => items
            .iter()
            .filter_map(text)
            .map(|item| match item.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (item, None),
            })
            .collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        _ => Vec::new(),
    }
}

/// A scalar as the text it stands for.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

/// Returns whether a value is `true`, however it is written.
pub(super) fn is_true(value: &Value) -> bool {
    text(value).is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1"))
}

/// `[a, b]` and `{a: …, b: …}` alike.
pub(super) fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        Value::Object(fields) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

/// Returns whether a value declares nothing, as what Compose prints often does.
pub(super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "false",
        Value::Bool(is) => !is,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Number(_) => false,
    }
}

/// Returns the name of a volume or network that exists outside the project: `external: true`, with or
/// without `name`, and `external: {name: …}` of older files.
pub(super) fn external_name(declared: &Value, key: &str) -> Option<String> {
    let external = &declared["external"];
    if !external.is_object() && !is_true(external) {
        return None;
    }
    Some(text(&external["name"]).or_else(|| text(&declared["name"])).unwrap_or_else(|| key.to_owned()))
}
