//! Validation of documents for `mai validate`. Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::object::accept;
use super::parse::{Content, Document, Key};
use super::provider::{Provider, folder};
use super::scan::{Root, Tree};
use super::scan_plan::{NamedDocument, duplicates, of_file};
use super::secret_document::{SecretDocument, Values};
use super::secrets::{Secrets, open_to_others};
use crate::api::{Finding, PlatformKind, SecretRef};
use crate::core::DOCKER_CONFIG;
use crate::source::SecretError;
use crate::source::policy::{Policy, Refusal, collect_references, scope};
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
    /// Folder whose authors declared it.
    scope: String,
}

impl Good<'_> {
    fn problem(&self, path: &str, message: String) -> Problem {
        self.document.problem(&self.file.display().to_string(), &Finding { path: path.to_owned(), message })
    }
}

/// Validates the trees read from the given paths together, for a platform or for all.
pub(crate) fn judge(trees: &[(&Path, Tree)], platform: Option<PlatformKind>, policy: &Arc<Policy>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut good = Vec::new();
    let mut named: BTreeMap<&Key, Vec<NamedDocument<'_>>> = BTreeMap::new();
    let mut secrets = KnownSecrets::new();
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
                            (Ok(full), Some(key)) => {
                                let scope = scope(&folder(root, path).unwrap_or_default());
                                good.push(Good { key, file: path, document, full, scope });
                            }
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
                    Content::Secret(secret) if secret.encrypted => encrypted.push((*root, path, document, secret)),
                    Content::Secret(secret) => {
                        if let Some(message) = open_to_others(path, file) {
                            verdict.say(Severity::Warning, false, problem("", &message));
                        }
                        match &secret.values {
                            Ok(values) => {
                                if !insert(
                                    &mut secrets,
                                    secret,
                                    scope(&folder(root, path).unwrap_or_default()),
                                    Ok(values),
                                ) {
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
    for (root, path, document, secret) in encrypted {
        let (field, problem) = secret.values.as_ref().err().cloned().unwrap_or_default();
        let file = path.display().to_string();
        let finding = Finding { path: field, message: problem.clone() };
        let unusable = SecretError::Unusable { name: secret.name.clone(), file: file.clone(), problem };
        if insert(&mut secrets, secret, scope(&folder(root, path).unwrap_or_default()), Err(unusable)) {
            verdict.say(Severity::Warning, false, document.problem(&file, &finding));
        }
    }
    for (key, seen) in named.iter().filter(|(_, seen)| seen.len() > 1) {
        let mut problems = Vec::new();
        duplicates(key, seen, &mut problems);
        problems.into_iter().for_each(|problem| verdict.say(Severity::Error, true, problem));
    }
    judge_ports(&good, &mut verdict);
    judge_hosts(&good, &mut verdict);
    judge_references(&good, &secrets, &mut verdict);
    judge_reach(trees, &good, platform, policy, &mut verdict);
    verdict.findings.sort_by(|a, b| {
        let place = |judged: &Judged| (judged.problem.file.clone(), judged.problem.line, judged.problem.column);
        place(a).cmp(&place(b))
    });
    verdict
}

/// Secrets by namespace and name: those of each folder, with its name.
type KnownSecrets<'a> = BTreeMap<Key, BTreeMap<String, Result<&'a Values, SecretError>>>;

/// Adds a Secret; returns false if the folder has one of this name.
fn insert<'a>(
    secrets: &mut KnownSecrets<'a>,
    secret: &SecretDocument,
    scope: String,
    values: Result<&'a Values, SecretError>,
) -> bool {
    let of_name = secrets.entry((secret.namespace.clone(), secret.name.clone())).or_default();
    match of_name.entry(scope) {
        Entry::Vacant(vacant) => {
            vacant.insert(values);
            true
        }
        Entry::Occupied(_) => false,
    }
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

/// Two folders, and two namespaces of a cluster, cannot have one host name.
fn judge_hosts(good: &[Good<'_>], verdict: &mut Verdict) {
    let host = |good: &Good<'_>| good.full.pointer("/spec/expose/host").and_then(Value::as_str).map(str::to_owned);
    for one in good {
        let Some(wanted) = host(one) else { continue };
        let is_foreign = |other: &&Good<'_>| other.scope != one.scope || other.key.0 != one.key.0;
        let others: Vec<String> = good
            .iter()
            .filter(is_foreign)
            .filter(|other| other.key != one.key && host(other).as_ref() == Some(&wanted))
            .map(|other| {
                let line = other.document.place("spec.expose.host").line;
                format!("{}/{} at {}:{line}", other.key.0, other.key.1, other.file.display())
            })
            .collect();
        if !others.is_empty() {
            let message = format!(
                "host {wanted} is also declared by {}; the one that is accepted first has it",
                others.join(" and ")
            );
            verdict.say(Severity::Error, true, one.problem("spec.expose.host", message));
        }
    }
}

/// Warns of references to missing Secrets, which may exist where the documents are used.
fn judge_references(good: &[Good<'_>], secrets: &KnownSecrets<'_>, verdict: &mut Verdict) {
    for one in good {
        let mut references = Vec::new();
        collect_references(&one.full["spec"], "spec", &mut references);
        add_pull_secrets(&one.full, &mut references);
        for (path, reference) in references {
            let name = reference.name.clone();
            let error = match reference.variable() {
                Some(variable) => std::env::var_os(variable)
                    .is_none()
                    .then(|| SecretError::NoVariable { variable: variable.to_owned() }),
                None => match secrets
                    .get(&(one.key.0.clone(), name.clone()))
                    .and_then(|known| known.get(&one.scope).or_else(|| known.values().next()))
                {
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

/// Adds what the names in `imagePullSecrets` refer to.
pub(super) fn add_pull_secrets(full: &Value, references: &mut Vec<(String, SecretRef)>) {
    let names = full["spec"]["imagePullSecrets"].as_array().into_iter().flatten();
    for (index, name) in names.filter_map(Value::as_str).enumerate() {
        let reference = SecretRef { name: name.to_owned(), key: Some(DOCKER_CONFIG.to_owned()) };
        references.push((format!("spec.imagePullSecrets[{index}]"), reference));
    }
}

/// Reports what the provider's policy refuses, each tree by itself: folders are those below it.
fn judge_reach(
    trees: &[(&Path, Tree)],
    good: &[Good<'_>],
    platform: Option<PlatformKind>,
    policy: &Arc<Policy>,
    verdict: &mut Verdict,
) {
    for (root, tree) in trees {
        let secrets = Secrets::new(root, Arc::clone(policy));
        secrets.update(tree);
        let mut provider = Provider::new(root, policy, &secrets, []);
        let of_tree = || good.iter().filter(|one| tree.files.contains_key(one.file));
        of_tree().for_each(|one| provider.claim(one.key, Some(one.file), &one.full));
        for one in of_tree() {
            for Refusal { finding, is_ordinary } in provider.refusals(one.key, one.file, &one.full, None, platform) {
                let severity = match is_ordinary && !policy.is_written() {
                    // It may be allowed where the documents are used.
                    true => Severity::Warning,
                    false => Severity::Error,
                };
                verdict.say(severity, true, one.problem(&finding.path, finding.message));
            }
        }
    }
}
