//! Translates a service of a Compose project to a document, and reports what is left out.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::project::text;
use super::{AdoptError, Adopted, Deployment, amounts, environment, expose, left_out, volumes};
use crate::api::{API_VERSION, ServerKind};

/// Longest name of an instance.
const LONGEST_NAME: usize = 40;

pub(super) fn translate(deployment: &Deployment<'_>) -> Result<Adopted, AdoptError> {
    let project = deployment.project;
    let service = &project.service;
    let containers = project.containers();
    let container = containers.first().map(String::as_str).unwrap_or_default();
    let own = container.strip_prefix("mai-").unwrap_or(container);
    let name = instance_name(deployment.name.unwrap_or(own))?;
    let mut told = project.told.clone();
    let mut spec = Map::from_iter([("displayName".to_owned(), json!(name))]);

    let image = text(&service["image"]).filter(|image| !image.is_empty());
    if image.is_none() {
        told.push("image: the service is built by Compose; build it yourself and name it in spec.image".to_owned());
    } else if !service["build"].is_null() {
        told.push("build: mai builds no images; build it yourself whenever it changes".to_owned());
    }
    spec.extend(image.as_ref().map(|image| ("image".to_owned(), json!(image))));
    let policy = match text(&service["pull_policy"]).as_deref() {
        Some("always") => Some("Always"),
        Some("never") => Some("Never"),
        _ => None,
    };
    spec.extend(policy.map(|policy| ("imagePullPolicy".to_owned(), json!(policy))));
    let kind = deployment.kind.unwrap_or_else(|| guess(image.as_deref().unwrap_or_default(), &mut told));

    let environment = environment::translate(project, &name, kind)?;
    spec.extend(environment.spec);
    told.extend(environment.told);
    let mut server = environment.server;
    server.insert("kind".to_owned(), json!(kind));
    spec.insert("server".to_owned(), Value::Object(server));
    let home = deployment.home.unwrap_or(Path::new("/"));
    let storage = volumes::storage(project, deployment.directory, home, &mut told);
    spec.insert("storage".to_owned(), Value::Object(storage));
    let resources = amounts::resources(service);
    if resources.as_object().is_some_and(|amounts| !amounts.is_empty()) {
        spec.insert("resources".to_owned(), resources);
    }
    spec.insert("expose".to_owned(), Value::Object(expose::expose(project, &mut told)));
    let mut rest = service.clone();
    if let Some(rest) = rest.as_object_mut() {
        rest.remove("build");
    }
    left_out::tell(&rest, &mut told);

    let document = json!({"apiVersion": API_VERSION, "kind": "MaiInstance", "metadata": {"name": name}, "spec": spec});
    Ok(Adopted { name, document, secrets: environment.secrets, containers, left_out: told })
}

fn instance_name(wanted: &str) -> Result<String, AdoptError> {
    let name = wanted.to_lowercase().replace(['_', '.', ' '], "-");
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let fits = name.len() <= LONGEST_NAME && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
    match plain && fits {
        true => Ok(name),
        false => Err(AdoptError::BadName(wanted.to_owned())),
    }
}

/// Guesses the program in an image from its name, and tells where that says nothing.
fn guess(image: &str, told: &mut Vec<String>) -> ServerKind {
    let image = image.to_lowercase();
    let repository = image.split('@').next().unwrap_or_default();
    let mut parts = repository.split('/').map(|part| part.split(':').next().unwrap_or_default());
    if parts.clone().any(|part| matches!(part, "open-webui" | "openwebui") || part.starts_with("open-webui-")) {
        return ServerKind::OpenWebUI;
    }
    let name = parts.next_back().unwrap_or_default();
    if name == "mai" || name.starts_with("mai-") || name.starts_with("mai_") {
        return ServerKind::Mai;
    }
    told.push(
        "server.kind: Custom is a guess, since the name of the image does not say what is in it; give --kind mai or --kind open-webui if it is one of them, as it cannot be changed later"
            .to_owned(),
    );
    ServerKind::Custom
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_guessed_from_whole_words_of_the_image() {
        for (image, kind, is_told) in [
            ("ghcr.io/open-webui/open-webui:main@sha256:aa", ServerKind::OpenWebUI, false),
            ("registry.example.com:5000/mirrors/open-webui/chat:v0.9", ServerKind::OpenWebUI, false),
            ("Docker.io/Open-WebUI:1", ServerKind::OpenWebUI, false),
            ("mai-production", ServerKind::Mai, false),
            ("registry.example.com/mai:1", ServerKind::Mai, false),
            ("localhost/mailserver:2", ServerKind::Custom, true),
            ("harbor.example.com/lib/owui:1", ServerKind::Custom, true),
            ("", ServerKind::Custom, true),
        ] {
            let mut told = Vec::new();
            assert_eq!((guess(image, &mut told), !told.is_empty()), (kind, is_told), "{image}");
        }
    }
}
