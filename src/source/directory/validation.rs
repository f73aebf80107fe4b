//! Validation of documents for `mai validate`. Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::object::accept;
use super::parse::{Content, Document, Key};
use super::scan::{Root, Tree};
use super::scan_plan::{NamedDocument, duplicates, of_file};
use super::secret_document::Values;
use super::secrets::open_to_others;
use crate::api::{Finding, PlatformKind, SecretRef};
use crate::core::DOCKER_CONFIG;
use crate::source::SecretError;
use crate::state::Problem;

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// The document would not be accepted.
    Error,
    /// The document would be accepted, but should be checked.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub severity: Severity,
    pub problem: Problem,
    /// Its line may be shown: it is not of a Secret.
    pub quotable: bool,
}

/// Result of a validation.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Documents of kind MaiInstance, good or not.
    pub instances: usize,
    /// Files that were read.
    pub files: usize,
    /// Findings by file and line.
    pub findings: Vec<Judged>,
}

impl Verdict {
    /// Returns the number of findings of a severity.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|judged| judged.severity == severity).count()
    }

    fn say(&mut self, severity: Severity, quotable: bool, problem: Problem) {
        self.findings.push(Judged { severity, problem, quotable });
    }
}

/// An instance whose document is good.
struct Good<'a> {
    key: &'a Key,
    file: &'a Path,
    document: &'a Document,
    full: Value,
}

impl Good<'_> {
    fn problem(&self, path: &str, message: String) -> Problem {
        self.document.problem(&self.file.display().to_string(), &Finding { path: path.to_owned(), message })
    }
}

/// Validates the trees read from the given paths together, for a platform or for all.
pub(crate) fn judge(trees: &[(&Path, Tree)], platform: Option<PlatformKind>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut good = Vec::new();
    let mut named: BTreeMap<&Key, Vec<NamedDocument<'_>>> = BTreeMap::new();
    let mut secrets: BTreeMap<Key, Result<&Values, SecretError>> = BTreeMap::new();
    let mut encrypted = Vec::new();
    let mut seen = BTreeSet::new();
    for (root, tree) in trees {
        if let Some(message) = unusable(tree) {
            verdict.say(Severity::Error, false, of_file(root, message));
        }
        for (path, why) in &tree.unreadable {
            verdict.say(Severity::Error, false, of_file(path, format!("cannot be read: {why}")));
        }
        for (path, file) in tree.files.iter().filter(|(path, _)| seen.insert((*path).clone())) {
            verdict.files += 1;
            let parsed = match &file.content {
                Ok(parsed) => parsed,
                Err(why) => {
                    verdict.say(Severity::Error, false, of_file(path, format!("cannot be read: {why}")));
                    continue;
                }
            };
            if parsed.blank {
                verdict.say(
                    Severity::Warning,
                    false,
                    of_file(path, "is empty; write a document or remove it".to_owned()),
                );
            }
            let shown = path.display().to_string();
            for document in &parsed.documents {
                let problem = |path: &str, message: &str| {
                    document.problem(&shown, &Finding { path: path.to_owned(), message: message.to_owned() })
                };
                match &document.content {
                    Content::Instance { key, value } => {
                        verdict.instances += 1;
                        if let Some(key) = key {
                            named.entry(key).or_default().push(NamedDocument { file: path, document, value });
                        }
                        match (accept(value, None, platform), key) {
                            (Ok(full), Some(key)) => good.push(Good { key, file: path, document, full }),
                            (Ok(_), None) => {}
                            (Err(findings), _) => {
                                for finding in findings {
                                    verdict.say(Severity::Error, true, document.problem(&shown, &finding));
                                }
                            }
                        }
                    }
                    Content::Broken { message, secret, guess, .. } => {
                        verdict.instances += usize::from(guess.is_some());
                        verdict.say(Severity::Error, !secret, problem("", message));
                    }
                    Content::Unrecognised { message, ours: true } => {
                        verdict.say(Severity::Error, true, problem("", message));
                    }
                    Content::Unrecognised { message, ours: false } => {
                        verdict.say(Severity::Warning, false, problem("", &format!("{message}; it is left alone")));
                    }
                    Content::Secret(secret) if secret.encrypted => encrypted.push((path, document, secret)),
                    Content::Secret(secret) => {
                        if let Some(message) = open_to_others(path, file) {
                            verdict.say(Severity::Warning, false, problem("", &message));
                        }
                        match &secret.values {
                            Ok(values) => {
                                if secrets.insert((secret.namespace.clone(), secret.name.clone()), Ok(values)).is_some()
                                {
                                    let message = "another Secret has this name, so neither is used; keep one of them";
                                    verdict.say(Severity::Error, false, problem("metadata.name", message));
                                }
                            }
                            Err((field, message)) => verdict.say(Severity::Error, false, problem(field, message)),
                        }
                    }
                    Content::Foreign { .. } => {}
                }
            }
        }
    }
    for (path, document, secret) in encrypted {
        let Entry::Vacant(vacant) = secrets.entry((secret.namespace.clone(), secret.name.clone())) else { continue };
        let (field, problem) = secret.values.as_ref().err().cloned().unwrap_or_default();
        let file = path.display().to_string();
        let finding = Finding { path: field, message: problem.clone() };
        verdict.say(Severity::Warning, false, document.problem(&file, &finding));
        vacant.insert(Err(SecretError::Unusable { name: secret.name.clone(), file, problem }));
    }
    for (key, seen) in named.iter().filter(|(_, seen)| seen.len() > 1) {
        let mut problems = Vec::new();
        duplicates(key, seen, &mut problems);
        problems.into_iter().for_each(|problem| verdict.say(Severity::Error, true, problem));
    }
    judge_ports(&good, &mut verdict);
    judge_references(&good, &secrets, &mut verdict);
    verdict.findings.sort_by(|a, b| {
        let place = |judged: &Judged| (judged.problem.file.clone(), judged.problem.line, judged.problem.column);
        place(a).cmp(&place(b))
    });
    verdict
}

fn unusable(tree: &Tree) -> Option<String> {
    match &tree.root {
        Root::Missing => Some("is not there; name a file or a directory of MaiInstance documents".to_owned()),
        Root::NotADirectory => Some("is not a directory".to_owned()),
        Root::Unreadable(why) => Some(format!("cannot be read: {why}")),
        Root::Readable if tree.files.is_empty() && tree.unreadable.is_empty() => {
            Some("holds no YAML file; add one that ends in .yaml or .yml".to_owned())
        }
        Root::Readable => None,
    }
}

/// Two instances cannot listen on one port of one address.
fn judge_ports(good: &[Good<'_>], verdict: &mut Verdict) {
    let port = |good: &Good<'_>| good.full.pointer("/spec/expose/port").and_then(Value::as_i64);
    let address =
        |good: &Good<'_>| good.full.pointer("/spec/expose/address").and_then(Value::as_str).map(str::to_owned);
    let is_everywhere =
        |address: &Option<String>| address.as_deref().is_none_or(|address| ["0.0.0.0", "::"].contains(&address));
    for one in good {
        let Some(wanted) = port(one) else { continue };
        let here = address(one);
        let others: Vec<String> = good
            .iter()
            .filter(|other| other.key != one.key && port(other) == Some(wanted))
            .filter(|other| {
                let there = address(other);
                here == there || is_everywhere(&here) || is_everywhere(&there)
            })
            .map(|other| {
                let line = other.document.place("spec.expose.port").line;
                format!("{}/{} at {}:{line}", other.key.0, other.key.1, other.file.display())
            })
            .collect();
        if !others.is_empty() {
            let message =
                format!("port {wanted} is also taken by {}; give each instance its own", others.join(" and "));
            verdict.say(Severity::Error, true, one.problem("spec.expose.port", message));
        }
    }
}

/// Warns of references to missing Secrets, which may exist where the documents are used.
fn judge_references(good: &[Good<'_>], secrets: &BTreeMap<Key, Result<&Values, SecretError>>, verdict: &mut Verdict) {
    for one in good {
        let mut references = Vec::new();
        collect_references(&one.full["spec"], "spec", &mut references);
        let pull_secrets = one.full["spec"]["imagePullSecrets"].as_array().into_iter().flatten();
        for (index, name) in pull_secrets.filter_map(Value::as_str).enumerate() {
            let reference = SecretRef { name: name.to_owned(), key: Some(DOCKER_CONFIG.to_owned()) };
            references.push((format!("spec.imagePullSecrets[{index}]"), reference));
        }
        for (path, reference) in references {
            let name = reference.name.clone();
            let error = match reference.variable() {
                Some(variable) => std::env::var_os(variable)
                    .is_none()
                    .then(|| SecretError::NoVariable { variable: variable.to_owned() }),
                None => match secrets.get(&(one.key.0.clone(), name.clone())) {
                    None => Some(SecretError::Missing { name }),
                    Some(Err(error)) => Some(error.clone()),
                    Some(Ok(values)) => {
                        let key = reference.key.unwrap_or_default();
                        (!values.contains_key(&key)).then(|| SecretError::NoKey {
                            name,
                            key,
                            known: values.keys().cloned().collect::<Vec<_>>().join(", "),
                        })
                    }
                },
            };
            if let Some(error) = error {
                verdict.say(Severity::Warning, true, one.problem(&path, error.to_string()));
            }
        }
    }
}

fn collect_references(value: &Value, path: &str, references: &mut Vec<(String, SecretRef)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = format!("{path}.{key}");
                match serde_json::from_value::<SecretRef>(value.clone()) {
                    Ok(reference) if key.ends_with("Ref") => references.push((path, reference)),
                    _ => collect_references(value, &path, references),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_references(item, &format!("{path}[{index}]"), references);
            }
        }
        _ => {}
    }
}
