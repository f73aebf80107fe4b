//! A policy as it is written: a typed YAML document.

use mai_contract::Network;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde_json::Value;

use super::readers::is_within;
use super::{Author, PolicyError};
use crate::api::{API_VERSION, Finding, ServerKind, check_shape};
use crate::source::directory::{LineMap, Place, split};

/// The kind of the document.
pub(super) const KIND: &str = "MaiPolicy";

/// The document of a policy.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PolicyDocument {
    api_version: String,
    kind: String,
    /// Lists that count for every document.
    #[serde(flatten)]
    pub(super) lists: Lists,
    /// A Secret without the annotation that names its readers is read by nobody.
    pub(super) secrets_need_readers: bool,
    /// Lists that count for the documents of some authors in addition.
    pub(super) authors: Vec<Entry>,
}

/// Patterns of all that documents may reach.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Lists {
    /// Directories at or below which documents may name places.
    pub(super) paths: Vec<String>,
    /// Environment variables of mai that documents may name as `env:NAME`.
    pub(super) env: Vec<String>,
    /// Variables that documents may set in `server.env`.
    pub(super) server_env: Vec<String>,
    /// Secrets that documents may read, as `FOLDER/NAME`, or `NAME` at the top of a directory and in
    /// a cluster.
    pub(super) secrets: Vec<String>,
    /// Volumes of the engine, or claims, that documents may name.
    pub(super) volumes: Vec<String>,
    /// Networks that containers may join.
    pub(super) networks: Vec<String>,
    /// Labels that documents may set.
    pub(super) labels: Vec<String>,
    /// Annotations that documents may set on an Ingress.
    pub(super) ingress_annotations: Vec<String>,
    /// Backups of others that new instances may begin with: names of instances, and files below a
    /// destination.
    pub(super) restores: Vec<String>,
    /// Networks, beside public ones, in which documents may let upstreams be.
    pub(super) upstream_networks: Vec<String>,
    /// Host names that documents may declare; any when absent.
    #[schemars(with = "Vec<String>")]
    pub(super) hosts: Option<Vec<String>>,
    /// Images that documents may declare; any when absent.
    #[schemars(with = "Vec<String>")]
    pub(super) images: Option<Vec<String>>,
    /// Kinds of servers that documents may declare; any when absent.
    #[schemars(with = "Vec<String>")]
    pub(super) kinds: Option<Vec<String>>,
    /// Names of instances that documents may declare; any that no other entry lists when absent.
    #[schemars(with = "Vec<String>")]
    pub(super) instances: Option<Vec<String>>,
}

/// Grants to some authors. Exactly one of folder and namespace is set.
#[derive(Deserialize, JsonSchema, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Entry {
    /// A folder of the directory, with the folders below it.
    #[schemars(with = "String")]
    folder: Option<String>,
    /// A namespace of a cluster.
    #[schemars(with = "String")]
    namespace: Option<String>,
    #[serde(flatten)]
    pub(super) lists: Lists,
}

impl Entry {
    /// Returns whether it is about an author.
    pub(super) fn is_about(&self, author: Author<'_>) -> bool {
        match (author, &self.folder, &self.namespace) {
            (Author::Folder(folder), Some(granted), _) => is_within(folder, granted.trim_matches('/')),
            (Author::Namespace(namespace), _, Some(granted)) => namespace == granted,
            _ => false,
        }
    }
}

/// Reads the text of the file `shown`.
pub(super) fn parse(shown: &str, text: &str) -> Result<(PolicyDocument, LineMap), PolicyError> {
    let wrong = |place: Place, field: &str, message: String| PolicyError::Invalid {
        file: shown.to_owned(),
        line: place.line,
        column: place.column,
        field: field.to_owned(),
        message,
    };
    let chunks = split(text);
    let start = Place { line: 1, column: 1 };
    let chunk = match chunks.as_slice() {
        [only] => *only,
        [] => {
            let message = format!(
                "holds no document; write apiVersion: {API_VERSION} and kind: {KIND}, or remove the file to allow what is allowed without one"
            );
            return Err(wrong(start, "", message));
        }
        [_, second, ..] => {
            let place = Place { line: second.first_line, column: 1 };
            return Err(wrong(place, "", "is a second document; write one policy".to_owned()));
        }
    };
    let lines = LineMap::new(chunk);
    let value: Value = serde_saphyr::from_str(chunk.text).map_err(|error| {
        let place = error.location().map_or(start, |at| Place {
            line: chunk.first_line + u32::try_from(at.line()).unwrap_or(1).saturating_sub(1),
            column: u32::try_from(at.column()).unwrap_or(1),
        });
        let message = error.without_snippet().to_string();
        wrong(place, "", format!("is not valid YAML: {}", message.lines().next().unwrap_or_default().trim()))
    })?;
    let mut findings = Vec::new();
    let schema = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let schema = schema.into_generator().into_root_schema_for::<PolicyDocument>();
    check_shape(schema.as_value(), &value, "", &mut findings);
    if let Some(Finding { path, message }) = findings.into_iter().next() {
        let path = path.trim_start_matches('.');
        return Err(wrong(lines.place(path), path, message));
    }
    let document: PolicyDocument =
        serde_json::from_value(value).map_err(|error| wrong(start, "", format!("cannot be read: {error}")))?;
    match document.problem() {
        Some(Finding { path, message }) => Err(wrong(lines.place(&path), &path, message)),
        None => Ok((document, lines)),
    }
}

impl PolicyDocument {
    /// Returns the first thing that is wrong with it beyond its shape.
    fn problem(&self) -> Option<Finding> {
        let finding = |path: &str, message: &str| Some(Finding { path: path.to_owned(), message: message.to_owned() });
        if self.api_version != API_VERSION {
            return finding("apiVersion", &format!("must be {API_VERSION}"));
        }
        if self.kind != KIND {
            return finding("kind", &format!("must be {KIND}"));
        }
        if self.lists.instances.is_some() {
            return finding("instances", "says whose names these are; write it into an entry of authors");
        }
        let entries = self.authors.iter().enumerate().map(|(index, entry)| (format!("authors[{index}]"), entry));
        for (path, entry) in entries {
            match (&entry.folder, &entry.namespace) {
                (Some(folder), None) => {
                    let is_below = !folder.starts_with('/') && !folder.split('/').any(|part| part == "..");
                    if !is_below {
                        let message = "must be a folder below the directory of documents, such as team-a, without ..";
                        return finding(&format!("{path}.folder"), message);
                    }
                }
                (None, Some(_)) => {}
                _ => {
                    let message = "needs exactly one of folder, for a directory, and namespace, for a cluster";
                    return finding(&path, message);
                }
            }
            if let Some(problem) = entry.lists.problem(&format!("{path}.")) {
                return Some(problem);
            }
        }
        self.lists.problem("")
    }
}

impl Lists {
    fn problem(&self, within: &str) -> Option<Finding> {
        let known = [ServerKind::Mai, ServerKind::OpenWebUI, ServerKind::Custom];
        for (index, kind) in self.kinds.iter().flatten().enumerate() {
            if !known.iter().any(|known| known.as_ref() == kind) {
                let known = known.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ");
                let message = format!("{kind:?} is not one of {known}");
                return Some(Finding { path: format!("{within}kinds[{index}]"), message });
            }
        }
        for (index, network) in self.upstream_networks.iter().enumerate() {
            if let Err(error) = network.parse::<Network>() {
                let path = format!("{within}upstreamNetworks[{index}]");
                return Some(Finding { path, message: error.to_string() });
            }
        }
        for (index, path) in self.paths.iter().enumerate() {
            let is_plain = path.starts_with('/') && !path.contains('*') && !path.split('/').any(|part| part == "..");
            if !is_plain || path.trim_matches('/').is_empty() {
                return Some(Finding {
                    path: format!("{within}paths[{index}]"),
                    message: "must be an absolute directory without .. and *, and not the root; what is below it is allowed with it".to_owned(),
                });
            }
        }
        None
    }
}
