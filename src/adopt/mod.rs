//! From a hand-made Docker Compose deployment to the `MaiInstance` document that takes it over.
//! Pure: files are read and written by the command line, and no data is ever touched.

mod amounts;
mod service;
mod translate;
mod variables;
mod volumes;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::api::{Finding, PlatformKind, ServerKind, check};

pub use variables::read_env_file;

/// Input of an adoption.
#[derive(Clone, Debug)]
pub struct Deployment<'a> {
    /// Text of the Compose file.
    pub text: &'a str,
    /// Its directory, absolute. Relative paths begin there.
    pub directory: &'a Path,
    /// Values of `${VARIABLE}`.
    pub variables: &'a BTreeMap<String, String>,
    /// The service, where the file has several.
    pub service: Option<&'a str>,
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
    /// The container that serves now.
    pub container: String,
    /// Sentences on parts of the deployment that are not in the document.
    pub left_out: Vec<String>,
}

/// Failure to adopt a deployment.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum AdoptError {
    #[error("it is not YAML: {0}")]
    NotYaml(String),
    #[error("it has no services; name the docker-compose.yml of a deployment")]
    NoServices,
    #[error("it has several services ({0}); choose one with --service")]
    SeveralServices(String),
    #[error("it has no service {name}; it has {known}")]
    NoSuchService { name: String, known: String },
    #[error("the variable {0} is used and has no value; set it in the environment or in .env next to the file")]
    NoValue(String),
    #[error("{0:?} cannot name an instance; choose a name of lower-case letters, digits and dashes with --name")]
    BadName(String),
    #[error("what it says does not make a valid document: {}", sentences(.0))]
    Invalid(Vec<Finding>),
}

fn sentences(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect::<Vec<_>>().join("; ")
}

/// Translates a deployment to a document.
pub fn adopt(deployment: &Deployment<'_>) -> Result<Adopted, AdoptError> {
    let (service_name, file, service) = service::find(deployment)?;
    let adopted = translate::translate(deployment, &service_name, &file, &service)?;
    check(&adopted.document, None, Some(PlatformKind::Docker)).map_err(AdoptError::Invalid)?;
    Ok(adopted)
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
