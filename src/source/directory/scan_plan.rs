//! Plan of a scan for the known instances: documents to accept, those that keep their last good
//! spec, those that are gone. Pure; the caller executes it.
//!
//! Only what can be read may change anything. Whatever is broken, blank, unreadable or duplicate
//! keeps the former document and is reported as a problem.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::object::accept;
use super::parse::{Content, Document, Key};
use super::provider::Provider;
use super::scan::Tree;
use crate::api::{Finding, PlatformKind};
use crate::state::{KnownDocument, Problem};

/// A document is believed to be gone when two scans at least this far apart agree.
pub(super) const BELIEF: Duration = Duration::from_millis(700);
/// Sentences that the annotation of an instance repeats; all of them are among the problems.
const REPEATED: usize = 3;

/// Changes and problems.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Good documents that differ from what is known, with the file each stands in.
    pub accept: Vec<(Key, Value, String)>,
    /// Known instances whose newest document is broken or refused, and why.
    pub keep: Vec<(Key, Kept)>,
    /// Known instances whose documents are gone.
    pub delete: Vec<Key>,
    /// Known instances that may be gone, and since when; a later scan tells.
    pub missing: BTreeMap<Key, Instant>,
    /// Problems of the tree.
    pub problems: Vec<Problem>,
    /// Kinds that were left alone, by file.
    pub foreign: BTreeSet<(String, String)>,
    /// Something was refused that may have been given up by what changes.
    pub is_contested: bool,
}

/// Why the last good document of an instance is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// The problem of its newest document.
    pub problem: String,
    /// That is a refusal of the policy.
    pub refused: bool,
}

impl Kept {
    fn broken(problem: String) -> Self {
        Self { problem, refused: false }
    }
}

/// A document of an instance, and its file.
pub(super) struct NamedDocument<'a> {
    pub file: &'a Path,
    pub document: &'a Document,
    pub value: &'a Value,
}

/// Plans a scan on `platform`. `missing` are the instances that the former plan left in doubt.
pub(super) fn plan(
    provider: Provider<'_>,
    root: &Path,
    known: &BTreeMap<Key, KnownDocument>,
    tree: &Tree,
    missing: &BTreeMap<Key, Instant>,
    platform: PlatformKind,
    now: Instant,
) -> Plan {
    let mut planning = Planning { platform, provider, known, tree, plan: Plan::default(), troubled: BTreeMap::new() };
    let seen = planning.read();
    planning.judge_seen(&seen);
    planning.judge_unseen(&seen, missing, now);
    let Planning { mut plan, .. } = planning;
    plan.is_contested &= !plan.accept.is_empty() || !plan.delete.is_empty();
    plan.keep.retain(|(key, kept)| {
        known.get(key).is_none_or(|row| {
            row.deleted_at.is_some() || row.problem.as_ref() != Some(&kept.problem) || row.refused != kept.refused
        })
    });
    plan.problems.extend(tree.removes_nothing().map(|message| of_file(root, message)));
    plan
}

/// Documents of a tree by instance.
#[derive(Default)]
struct Seen<'a> {
    /// Documents of each instance.
    named: BTreeMap<&'a Key, Vec<NamedDocument<'a>>>,
    /// Problems of texts that seem to be about an instance.
    guessed: BTreeMap<&'a Key, Vec<String>>,
}

struct Planning<'a> {
    platform: PlatformKind,
    provider: Provider<'a>,
    known: &'a BTreeMap<Key, KnownDocument>,
    tree: &'a Tree,
    plan: Plan,
    /// Files and folders in which something cannot be read, and the first thing that is wrong
    /// there.
    troubled: BTreeMap<&'a Path, String>,
}

impl<'a> Planning<'a> {
    fn trouble(&mut self, path: &'a Path, problem: Problem) {
        self.troubled.entry(path).or_insert_with(|| problem.to_string());
        self.plan.problems.push(problem);
    }

    fn live(&self, key: &Key) -> Option<&'a KnownDocument> {
        self.known.get(key).filter(|row| row.released_at.is_none())
    }

    /// Goes through all files once.
    fn read(&mut self) -> Seen<'a> {
        let mut seen = Seen::default();
        let unread = |why: &str| format!("cannot be read: {why}; what was in it stays as it is");
        for (path, why) in &self.tree.unreadable {
            self.trouble(path, of_file(path, unread(why)));
        }
        for (path, file) in &self.tree.files {
            let parsed = match &file.content {
                Ok(parsed) => parsed,
                Err(why) => {
                    self.trouble(path, of_file(path, unread(why)));
                    continue;
                }
            };
            let shown = path.display().to_string();
            let held_something =
                self.known.values().any(|row| row.deleted_at.is_none() && row.file.as_deref() == Some(&shown));
            if parsed.blank && held_something {
                let message = "is empty, which removes nothing; remove the file, or leave a comment in it, to remove what was in it";
                self.trouble(path, of_file(path, message.to_owned()));
            }
            for document in &parsed.documents {
                self.read_document(path, document, held_something, &mut seen);
            }
        }
        seen
    }

    fn read_document(&mut self, path: &'a Path, document: &'a Document, held_something: bool, seen: &mut Seen<'a>) {
        let shown = path.display().to_string();
        let bare =
            |message: &str| document.problem(&shown, &Finding { path: String::new(), message: message.to_owned() });
        match &document.content {
            Content::Instance { key: Some(key), value } => {
                seen.named.entry(key).or_default().push(NamedDocument { file: path, document, value });
            }
            Content::Instance { key: None, value } => {
                for finding in accept(value, None, Some(self.platform)).err().unwrap_or_default() {
                    self.trouble(path, document.problem(&shown, &finding));
                }
            }
            Content::Broken { message, guess, .. } => {
                let problem = bare(message);
                if let Some(key) = guess {
                    seen.guessed.entry(key).or_default().push(problem.to_string());
                }
                self.trouble(path, problem);
            }
            Content::Unrecognised { message, ours } if *ours || held_something => self.trouble(path, bare(message)),
            Content::Unrecognised { .. } => {
                self.plan.foreign.insert((shown, "no kind".to_owned()));
            }
            Content::Foreign { kind } => {
                self.plan.foreign.insert((shown, kind.clone()));
            }
            Content::Secret(_) => {}
        }
    }

    /// Instances that are named: taken up when their one document is good, kept as they were
    /// otherwise.
    fn judge_seen(&mut self, seen: &Seen<'a>) {
        let mut all: Vec<_> = seen.named.iter().collect();
        // So that another one may take it in the same scan.
        all.sort_by_key(|(key, named)| !self.gives_up(key, named));
        for (key, named) in all {
            let owner = match named.len() {
                0 | 1 => None,
                _ => self.provider.owner_among(self.known.get(*key), named, |document| document.file),
            };
            let kept = match (named.as_slice(), owner) {
                ([only], _) => self.judge_document(key, only),
                (several, Some(owner)) => {
                    // Those of other folders must not hold up whose name it is.
                    let mut problems = Vec::new();
                    duplicates(key, several, &mut problems);
                    problems.remove(owner);
                    for mut problem in problems {
                        problem.message = format!(
                            "instance {}/{} belongs to {}; choose another name",
                            key.0,
                            key.1,
                            several[owner].file.display()
                        );
                        self.plan.problems.push(problem);
                    }
                    self.judge_document(key, &several[owner])
                }
                (several, None) => Err(Kept::broken(repeated(&duplicates(key, several, &mut self.plan.problems)))),
            };
            if let Err(kept) = kept
                && self.live(key).is_some()
            {
                self.plan.keep.push(((*key).clone(), kept));
            }
        }
    }

    /// Returns whether an instance gives up a host or a port that its accepted document has.
    fn gives_up(&self, key: &Key, named: &[NamedDocument<'a>]) -> bool {
        let ([only], Some(row)) = (named, self.live(key)) else { return false };
        ["/spec/expose/host", "/spec/expose/port"].iter().any(|field| {
            let former = row.document.pointer(field).filter(|former| !former.is_null());
            former.is_some_and(|former| only.value.pointer(field) != Some(former))
        })
    }

    fn judge_document(&mut self, key: &Key, seen: &NamedDocument<'a>) -> Result<(), Kept> {
        // What a released instance left behind counts only when its data was kept.
        let stood = self.known.get(key).filter(|row| row.released_at.is_none() || keeps_data(&row.document));
        let file = seen.file.display().to_string();
        let former = stood.map(KnownDocument::as_former);
        let findings = match accept(seen.value, former.as_deref(), Some(self.platform)) {
            Ok(mut full) => {
                let row = self.known.get(key);
                let refusals = self.provider.refusals(key, seen.file, &full, row, Some(self.platform));
                if !refusals.is_empty() {
                    let findings: Vec<Finding> = refusals.into_iter().map(|refusal| refusal.finding).collect();
                    return Err(self.refuse(seen, &findings, true));
                }
                self.provider.claim(key, Some(seen.file), &full);
                self.provider.expose(key, Some(seen.file), &full, row.map_or(Timestamp::MAX, |row| row.created_at));
                if let Some(row) = stood {
                    keep_former_locale(&row.document, &mut full);
                }
                if !stands(self.known.get(key), &full, &file) {
                    self.plan.accept.push((key.clone(), full, file));
                }
                return Ok(());
            }
            Err(findings) => findings,
        };
        Err(self.refuse(seen, &findings, false))
    }

    /// Reports the problems of a document that is not accepted.
    fn refuse(&mut self, seen: &NamedDocument<'a>, findings: &[Finding], refused: bool) -> Kept {
        let file = seen.file.display().to_string();
        let problem = |finding| Problem { refused, ..seen.document.problem(&file, finding) };
        let problems: Vec<Problem> = findings.iter().map(problem).collect();
        let sentences: Vec<String> = problems.iter().map(Problem::to_string).collect();
        self.troubled.entry(seen.file).or_insert_with(|| repeated(&sentences));
        self.plan.problems.extend(problems);
        self.plan.is_contested |= refused;
        Kept { problem: repeated(&sentences), refused }
    }

    /// Instances that are not named anywhere: kept where something cannot be read, gone otherwise,
    /// once that is believed.
    fn judge_unseen(&mut self, seen: &Seen<'a>, missing: &BTreeMap<Key, Instant>, now: Instant) {
        let nothing_is_removed = self.tree.removes_nothing().is_some();
        let known = self.known;
        for (key, row) in known.iter().filter(|(key, _)| !seen.named.contains_key(key)) {
            if self.live(key).is_none() {
                continue;
            }
            if let Some(sentences) = seen.guessed.get(key) {
                self.plan.keep.push((key.clone(), Kept::broken(repeated(sentences))));
                continue;
            }
            if row.deleted_at.is_some() || nothing_is_removed {
                continue;
            }
            let file = row.file.as_deref().map(Path::new);
            if let Some(trouble) = file.and_then(|file| file.ancestors().find_map(|path| self.troubled.get(path))) {
                self.plan.keep.push((key.clone(), Kept::broken(trouble.clone())));
                continue;
            }
            let since = missing.get(key).copied().unwrap_or(now);
            if now.duration_since(since) >= BELIEF {
                self.plan.delete.push(key.clone());
            } else {
                self.plan.missing.insert(key.clone(), since);
            }
        }
    }
}

/// Marks a stored document whose language is the default of an earlier version.
const FORMER_LOCALE: &str = "mai.dev/former-default-locale";

/// Returns whether the data of a released instance was kept.
fn keeps_data(document: &Value) -> bool {
    !matches!(document["spec"]["deletionPolicy"].as_str(), Some("Delete" | "Snapshot"))
}

/// Keeps the language that earlier versions stored as a default, so that an upgrade of mai replaces
/// no server. They always stored `spec.upgrade` as well, which tells their rows from a declared
/// language. A document that declares a language ends it.
fn keep_former_locale(row: &Value, full: &mut Value) {
    let is_former = row["spec"]["upgrade"].is_object() || row["metadata"]["annotations"].get(FORMER_LOCALE).is_some();
    if !is_former || row["spec"]["server"]["locale"] != "en" || !full["spec"]["server"]["locale"].is_null() {
        return;
    }
    full["spec"]["server"]["locale"] = "en".into();
    full["metadata"]["annotations"][FORMER_LOCALE] = "true".into();
}

/// Returns whether this very document is the accepted one.
fn stands(known: Option<&KnownDocument>, full: &Value, file: &str) -> bool {
    known.is_some_and(|row| {
        row.document == *full
            && row.file.as_deref() == Some(file)
            && row.problem.is_none()
            && row.deleted_at.is_none()
            && row.released_at.is_none()
    })
}

/// Reports one name in several documents, none of which is accepted.
pub(super) fn duplicates(key: &Key, seen: &[NamedDocument<'_>], problems: &mut Vec<Problem>) -> Vec<String> {
    let at = |sighting: &NamedDocument<'_>| {
        format!("{}:{}", sighting.file.display(), sighting.document.place("metadata.name").line)
    };
    seen.iter()
        .enumerate()
        .map(|(index, sighting)| {
            let others: Vec<String> =
                seen.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, other)| at(other)).collect();
            let finding = Finding {
                path: "metadata.name".to_owned(),
                message: format!(
                    "instance {}/{} is also described at {}; none of them is applied until only one is left",
                    key.0,
                    key.1,
                    others.join(" and ")
                ),
            };
            let problem = sighting.document.problem(&sighting.file.display().to_string(), &finding);
            let sentence = problem.to_string();
            problems.push(problem);
            sentence
        })
        .collect()
}

/// A problem of a file or folder as such.
pub(super) fn of_file(path: &Path, message: String) -> Problem {
    Problem {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        document: None,
        instance: None,
        field: String::new(),
        message,
        refused: false,
    }
}

fn repeated(sentences: &[String]) -> String {
    let shown = sentences.iter().take(REPEATED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match sentences.len().saturating_sub(REPEATED) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
