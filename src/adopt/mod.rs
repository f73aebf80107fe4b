//! From a hand-made Docker Compose deployment to the `MaiInstance` document that takes it over.
//!
//! `project` holds a resolved Compose project: as Compose itself prints it, or as `reader` reads the
//! files where Compose is not there. `translate` makes a document of its service: `environment`,
//! `volumes`, `expose` and `amounts` a part each, `left_out` the sentences on what has no place;
//! `secrecy` says what belongs in a Secret.
//! Pure: files are read and written by the command line, and no data is ever touched.

mod amounts;
mod environment;
mod expose;
mod left_out;
mod project;
mod reader;
mod secrecy;
mod translate;
mod volumes;

use std::collections::BTreeMap;
use std::path::Path;

use mai_contract::environment::WEBUI_NAME;
use serde_json::{Value, json};

use crate::api::{Finding, PlatformKind, ServerKind, check};

pub use project::Project;
pub use reader::{ComposeFiles, read_env_file};

/// Most variables that a document holds.
const MOST_VARIABLES: usize = 64;
/// Most labels that a document holds.
const MOST_LABELS: usize = 64;
/// Parts of a document without which it still takes over the same data.
const DISPENSABLE: [&str; 6] =
    ["spec.expose.", "spec.resources", "spec.openRouter.baseUrl", "spec.ollama", "spec.image", "spec.server.env["];

/// Input of an adoption.
#[derive(Clone, Debug)]
pub struct Deployment<'a> {
    /// The project with the chosen service.
    pub project: &'a Project,
    /// Its directory, absolute. Relative paths begin there.
    pub directory: &'a Path,
    /// Home directory of whoever runs Compose.
    pub home: Option<&'a Path>,
    /// Name of the instance [default: the deployment's].
    pub name: Option<&'a str>,
    /// Kind of the server [default: guessed from the image].
    pub kind: Option<ServerKind>,
}

/// Result of an adoption.
#[derive(Clone, Debug, PartialEq)]
pub struct Adopted {
    /// Name of the instance.
    pub name: String,
    /// The `MaiInstance`.
    pub document: Value,
    /// Secret values of the deployment, by key, for a `Secret` named like the instance.
    pub secrets: BTreeMap<String, String>,
    /// Names that the container that serves now may have.
    pub containers: Vec<String>,
    /// Sentences on parts of the deployment that are not in the document.
    pub left_out: Vec<String>,
}

/// Failure to adopt a deployment.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum AdoptError {
    #[error("{file}: {why}")]
    Unreadable { file: String, why: String },
    #[error("it is not YAML: {0}")]
    NotYaml(String),
    #[error("it has no services; name the docker-compose.yml of a deployment")]
    NoServices,
    #[error("it has several services ({0}); choose one with --service")]
    SeveralServices(String),
    #[error("it has no service {name}; it has {known}")]
    NoSuchService { name: String, known: String },
    #[error("variables are required and have no value: {0}; set them in the environment or in .env next to the file")]
    NoValue(String),
    #[error("it sets more than {MOST_VARIABLES} variables, which is all that a document holds; remove some of {0}")]
    TooManyVariables(String),
    #[error(
        "{0:?} cannot name an instance; choose a name with --name: up to 40 lower-case letters, digits and dashes, beginning with a letter"
    )]
    BadName(String),
    #[error("what it says does not make a valid document: {}", sentences(.0))]
    Invalid(Vec<Finding>),
}

fn sentences(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect::<Vec<_>>().join("; ")
}

/// Translates a deployment to a document. What a document refuses is left out and told, unless it
/// decides which data the instance gets.
pub fn adopt(deployment: &Deployment<'_>) -> Result<Adopted, AdoptError> {
    let mut adopted = translate::translate(deployment)?;
    while let Err(findings) = check(&adopted.document, None, Some(PlatformKind::Docker)) {
        let mut removed = false;
        let is_title = |finding: &Finding| finding.path == "spec.displayName";
        if findings.iter().any(is_title) && adopted.document["spec"]["displayName"] != adopted.name.as_str() {
            adopted.document["spec"]["displayName"] = json!(adopted.name);
            adopted.left_out.push(format!(
                "environment: {WEBUI_NAME}: it is too long for a display name; the instance's name is used"
            ));
            continue;
        }
        // From the end, so that the positions of list items before it stay.
        for finding in findings.iter().rev() {
            if DISPENSABLE.iter().any(|part| finding.path.starts_with(part))
                && remove(&mut adopted.document, &finding.path)
            {
                adopted.left_out.push(format!("{}: {}; it is left out", finding.path, finding.message));
                removed = true;
                break;
            }
        }
        if !removed {
            return Err(AdoptError::Invalid(findings));
        }
    }
    Ok(adopted)
}

/// Removes a field, or the item of a list that it is in; returns whether it was there.
fn remove(document: &mut Value, path: &str) -> bool {
    if let Some((list, rest)) = path.split_once('[')
        && let Some((index, _)) = rest.split_once(']')
    {
        let pointer = format!("/{}", list.replace('.', "/"));
        let items = document.pointer_mut(&pointer).and_then(Value::as_array_mut);
        return match (items, index.parse::<usize>()) {
            (Some(items), Ok(index)) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        };
    }
    let Some((parent, field)) = path.rsplit_once('.') else { return false };
    let parent = document.pointer_mut(&format!("/{}", parent.replace('.', "/")));
    parent.and_then(Value::as_object_mut).is_some_and(|fields| fields.remove(field).is_some())
}

impl Adopted {
    /// Returns the `Secret` with the secret values, if there are any.
    pub fn secret(&self) -> Option<Value> {
        (!self.secrets.is_empty()).then(|| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.name}, "stringData": self.secrets})
        })
    }
}

#[cfg(test)]
mod tests;
