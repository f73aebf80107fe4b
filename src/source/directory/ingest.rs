//! What a scan means for the instances that are known: which documents are taken up, which keep their last good spec, which
//! are gone. Pure; its caller carries it out.
//!
//! The rule behind it: only what can be read may change anything. Whatever is broken, blank, unreadable or doubled keeps what
//! stood, and is named as a problem.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::object::accept;
use super::parse::{Content, Document, Key};
use super::scan::Tree;
use crate::api::Finding;
use crate::state::{KnownDocument, Problem};

/// A document is believed to be gone when two scans at least this far apart agree.
pub(super) const BELIEF: Duration = Duration::from_millis(700);
/// Sentences that the annotation of an instance repeats; all of them are among the problems.
const REPEATED: usize = 3;

/// What to do, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Good documents that differ from what is known, with the file each stands in.
    pub accept: Vec<(Key, Value, String)>,
    /// Known instances whose newest document is broken, and what is wrong with it.
    pub keep: Vec<(Key, String)>,
    /// Known instances whose documents are gone.
    pub delete: Vec<Key>,
    /// Known instances that may be gone, and since when; a later scan tells.
    pub missing: BTreeMap<Key, Instant>,
    /// All that is wrong in the tree.
    pub problems: Vec<Problem>,
    /// Kinds that were left alone, by file.
    pub foreign: BTreeSet<(String, String)>,
}

/// A document that names an instance, and where it was seen.
pub(super) struct Sighting<'a> {
    pub file: &'a Path,
    pub document: &'a Document,
    pub value: &'a Value,
}

/// Decides what `tree` means. `missing` is what the plan before this one left in doubt.
pub(super) fn plan(
    root: &Path,
    known: &BTreeMap<Key, KnownDocument>,
    tree: &Tree,
    missing: &BTreeMap<Key, Instant>,
    now: Instant,
) -> Plan {
    let mut plan = Plan::default();
    let live = |key: &Key| known.get(key).filter(|row| row.released_at.is_none());
    let mut troubled: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut guessed: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    let mut sightings: BTreeMap<&Key, Vec<Sighting<'_>>> = BTreeMap::new();

    for (path, why) in &tree.unreadable {
        let problem = of_file(path, format!("cannot be read: {why}; what was in it stays as it is"));
        troubled.insert(path.clone(), problem.to_string());
        plan.problems.push(problem);
    }
    for (path, file) in &tree.files {
        let shown = path.display().to_string();
        let held_something =
            || known.values().any(|row| row.deleted_at.is_none() && row.file.as_deref() == Some(&shown));
        let mut trouble = |plan: &mut Plan, problem: Problem| {
            troubled.entry(path.clone()).or_insert_with(|| problem.to_string());
            plan.problems.push(problem);
        };
        let parsed = match &file.content {
            Ok(parsed) => parsed,
            Err(why) => {
                trouble(&mut plan, of_file(path, format!("cannot be read: {why}; what was in it stays as it is")));
                continue;
            }
        };
        if parsed.blank && held_something() {
            let message =
                "is empty, which removes nothing; remove the file, or leave a comment in it, to remove what was in it";
            trouble(&mut plan, of_file(path, message.to_owned()));
        }
        for document in &parsed.documents {
            let bare =
                |message: &str| document.problem(&shown, &Finding { path: String::new(), message: message.to_owned() });
            match &document.content {
                Content::Instance { key: Some(key), value } => {
                    sightings.entry(key).or_default().push(Sighting { file: path, document, value });
                }
                Content::Instance { key: None, value } => {
                    for finding in accept(value, None).err().unwrap_or_default() {
                        trouble(&mut plan, document.problem(&shown, &finding));
                    }
                }
                Content::Broken { message, guess, .. } => {
                    let problem = bare(message);
                    if let Some(key) = guess {
                        guessed.entry(key.clone()).or_default().push(problem.to_string());
                    }
                    trouble(&mut plan, problem);
                }
                Content::Unrecognised { message, ours } => {
                    if *ours || held_something() {
                        trouble(&mut plan, bare(message));
                    } else {
                        plan.foreign.insert((shown.clone(), "no kind".to_owned()));
                    }
                }
                Content::Foreign { kind } => {
                    plan.foreign.insert((shown.clone(), kind.clone()));
                }
                Content::Secret(_) => {}
            }
        }
    }

    for (key, seen) in &sightings {
        let sentences = match seen.as_slice() {
            [only] => {
                // What a released instance left behind counts only when its data was kept.
                let stood = known
                    .get(*key)
                    .filter(|row| row.released_at.is_none() || row.document["spec"]["deletionPolicy"] != "Delete");
                match accept(only.value, stood.map(|row| &row.document)) {
                    Ok(full) => {
                        let file = only.file.display().to_string();
                        if !stands(known.get(*key), &full, &file) {
                            plan.accept.push(((*key).clone(), full, file));
                        }
                        continue;
                    }
                    Err(findings) => {
                        let file = only.file.display().to_string();
                        let problems: Vec<Problem> =
                            findings.iter().map(|finding| only.document.problem(&file, finding)).collect();
                        let sentences: Vec<String> = problems.iter().map(Problem::to_string).collect();
                        troubled.entry(only.file.to_owned()).or_insert_with(|| repeated(&sentences));
                        plan.problems.extend(problems);
                        sentences
                    }
                }
            }
            several => doubled(key, several, &mut plan.problems),
        };
        if live(key).is_some() {
            plan.keep.push(((*key).clone(), repeated(&sentences)));
        }
    }

    let root_problem = tree.removes_nothing();
    for (key, row) in known.iter().filter(|(key, _)| live(key).is_some() && !sightings.contains_key(key)) {
        if let Some(sentences) = guessed.get(key) {
            plan.keep.push((key.clone(), repeated(sentences)));
            continue;
        }
        if row.deleted_at.is_some() || root_problem.is_some() {
            continue;
        }
        let file = row.file.as_deref().map(Path::new);
        let trouble = file.and_then(|file| file.ancestors().find_map(|path| troubled.get(path)));
        if let Some(trouble) = trouble {
            plan.keep.push((key.clone(), trouble.clone()));
            continue;
        }
        let since = missing.get(key).copied().unwrap_or(now);
        if now.duration_since(since) >= BELIEF {
            plan.delete.push(key.clone());
        } else {
            plan.missing.insert(key.clone(), since);
        }
    }
    plan.keep.retain(|(key, problem)| {
        known.get(key).is_none_or(|row| row.deleted_at.is_some() || row.problem.as_ref() != Some(problem))
    });
    plan.problems.extend(root_problem.map(|message| of_file(root, message)));
    plan
}

/// Whether this very document is what stands already.
fn stands(known: Option<&KnownDocument>, full: &Value, file: &str) -> bool {
    known.is_some_and(|row| {
        row.document == *full
            && row.file.as_deref() == Some(file)
            && row.problem.is_none()
            && row.deleted_at.is_none()
            && row.released_at.is_none()
    })
}

/// One name in several documents: each is named, none is taken.
pub(super) fn doubled(key: &Key, seen: &[Sighting<'_>], problems: &mut Vec<Problem>) -> Vec<String> {
    let at = |sighting: &Sighting<'_>| {
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
