//! Directories and volumes with the data of the deployment.

use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::Deployment;
use super::service::text;

/// One mount, as the document names what is there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mount {
    pub(super) target: String,
    /// `{hostPath: …}` or `{volumeName: …}`; nothing for what vanishes with the container.
    pub(super) volume: Option<Value>,
    pub(super) written: String,
}

/// All mounts of a service.
pub(super) fn mounts(deployment: &Deployment<'_>, file: &Value, service: &Value) -> Vec<Mount> {
    service["volumes"].as_array().into_iter().flatten().map(|volume| mount(deployment, file, volume)).collect()
}

fn mount(deployment: &Deployment<'_>, file: &Value, volume: &Value) -> Mount {
    let (source, target, written) = match volume {
        Value::String(short) => {
            let mut parts = short.split(':');
            let (first, second) = (parts.next().unwrap_or_default(), parts.next());
            match second {
                Some(target) => (Some(first.to_owned()), target.to_owned(), short.clone()),
                None => (None, first.to_owned(), short.clone()),
            }
        }
        long => {
            let source = text(&long["source"]).filter(|_| long["type"] != "tmpfs");
            (source, text(&long["target"]).unwrap_or_default(), long.to_string())
        }
    };
    let volume = source.map(|source| match source.starts_with(['.', '/', '~']) {
        true => json!({"hostPath": absolute(deployment.directory, &source)}),
        false => json!({"volumeName": volume_name(deployment, file, &source)}),
    });
    let target = target.trim_end_matches('/').to_owned();
    Mount { target, volume, written }
}

fn absolute(directory: &Path, source: &str) -> String {
    let home = || std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let path = match source.strip_prefix('~') {
        Some(rest) => home().join(rest.trim_start_matches('/')),
        None => directory.join(source),
    };
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    clean.display().to_string()
}

/// As Compose names it: by its `name`, by its key when it is external, else with the project in
/// front.
fn volume_name(deployment: &Deployment<'_>, file: &Value, key: &str) -> String {
    let declared = &file["volumes"][key];
    if let Some(name) = text(&declared["name"]) {
        return name;
    }
    if declared["external"] == true {
        return key.to_owned();
    }
    format!("{}_{key}", project(deployment, file))
}

/// The name of the project: declared, from the environment, or the directory's.
pub(super) fn project(deployment: &Deployment<'_>, file: &Value) -> String {
    let directory = || deployment.directory.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = deployment.variables.get("COMPOSE_PROJECT_NAME").cloned().or_else(|| text(&file["name"]));
    let name = name.or_else(directory).unwrap_or_default().to_lowercase();
    let kept = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    name.chars().filter(kept).collect::<String>().trim_start_matches(['-', '_']).to_owned()
}
