//! `mai plan DIR`: what `mai compose` would change now and why, field by field. It changes nothing itself.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::{Value, json};

use super::runtime_choice::{Choice, RuntimeKind};
use super::state_dir::Place;
use crate::reconcile::{Planned, Standing, Step, plan};
use crate::runtime::docker::DockerRuntime;
use crate::runtime::process::Onlooker;
use crate::runtime::{Change, Eyes};
use crate::source::directory::{Preview, Previewed};
use crate::state::{Problem, State, StateError};

/// Something would change.
const CHANGES: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    choice: Choice,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(args))
}

/// One instance of the plan.
struct Item {
    planned: Planned,
    file: Option<String>,
    /// Fields of the document that differ from the one that was accepted last.
    document: Vec<Change>,
}

async fn show(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.place.state_dir()?;
    let state = match State::open_read_only(&state_dir).await {
        Ok(state) => Some(state),
        Err(StateError::Absent { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let known = match &state {
        Some(state) => state.documents().await?,
        None => Vec::new(),
    };
    let preview = Preview::of(&args.place.directory, known).await?;
    let items = match args.choice.kind(&state_dir) {
        RuntimeKind::Process => {
            // As the servers know it: without symbolic links.
            let state_dir = state_dir.canonicalize().unwrap_or(state_dir);
            look(&preview, state.as_ref(), &Onlooker::new(state_dir)).await?
        }
        RuntimeKind::Docker => {
            let eyes = DockerRuntime::onlooker(args.choice.docker(&state_dir)).await?;
            look(&preview, state.as_ref(), &eyes).await?
        }
    };
    if let Some(state) = state {
        state.close().await;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", to_json(&items, &preview.problems))?;
    } else {
        write!(out, "{}", to_text(&items, &preview.problems))?;
    }
    let blocked = items.iter().any(|item| item.is(Standing::Blocked));
    Ok(if blocked || !preview.problems.is_empty() {
        ExitCode::FAILURE
    } else if items.iter().any(Item::changes) {
        ExitCode::from(CHANGES)
    } else {
        ExitCode::SUCCESS
    })
}

async fn look<E: Eyes>(preview: &Preview, state: Option<&State>, eyes: &E) -> anyhow::Result<Vec<Item>> {
    let instances: Vec<_> = preview.instances.iter().map(|one| Arc::new(one.instance.clone())).collect();
    let planned = plan(&instances, state, preview, eyes).await.context("the state could not be read")?;
    let of = |uid: &str| preview.instances.iter().find(|one| one.after.uid == uid);
    Ok(planned
        .into_iter()
        .map(|planned| {
            let one = of(&planned.id.uid);
            Item {
                file: one.and_then(|one| one.after.file.clone()),
                document: one.map(edits).unwrap_or_default(),
                planned,
            }
        })
        .collect())
}

impl Item {
    /// Whether a step would be taken.
    fn changes(&self) -> bool {
        self.planned.step != Step::Wait
    }

    fn is(&self, standing: Standing) -> bool {
        !self.changes() && self.planned.standing == standing
    }

    fn action(&self) -> &'static str {
        match (&self.planned.step, self.planned.standing) {
            (Step::Wait, Standing::Converged) => "none",
            (Step::Wait, Standing::UnderWay) => "wait",
            (Step::Wait, Standing::Blocked) => "blocked",
            (Step::Prepare(_), _) => "prepare",
            (Step::Start, _) => "start",
            (Step::Resume, _) => "resume",
            (Step::Update(_), _) => "update",
            (Step::Replace(_), _) => "replace",
            (Step::Commit, _) => "commit",
            (Step::RollBack(_), _) => "rollBack",
            (Step::Stop(_), _) => "stop",
            (Step::Remove, _) => "remove",
            (Step::RemoveData, _) => "removeData",
            (Step::Release, _) => "release",
        }
    }

    /// Why the step would be taken, as a sentence.
    fn why(&self) -> String {
        match &self.planned.step {
            Step::Prepare(missing) => format!("{missing} is needed first and is not there"),
            Step::Start => "nothing runs for it".to_owned(),
            Step::Resume => "it is there and does not run".to_owned(),
            Step::Update(_) => "it differs in what can change while it runs".to_owned(),
            Step::Replace(_) => "it differs in what needs another server".to_owned(),
            Step::Commit => "its replacement answers; what was replaced is not needed any more".to_owned(),
            Step::RollBack(why) | Step::Stop(why) => why.clone(),
            Step::Remove | Step::RemoveData | Step::Release => "the document was removed".to_owned(),
            Step::Wait => self.planned.message.clone(),
        }
    }

    fn runtime_changes(&self) -> &[Change] {
        match &self.planned.step {
            Step::Update(changes) | Step::Replace(changes) => changes,
            _ => &[],
        }
    }
}

fn edits(one: &Previewed) -> Vec<Change> {
    let Some(before) = &one.before else { return Vec::new() };
    let (mut is, mut wanted) = (BTreeMap::new(), BTreeMap::new());
    leaves("spec", &before.document["spec"], &mut is);
    leaves("spec", &one.after.document["spec"], &mut wanted);
    let fields: std::collections::BTreeSet<&String> = is.keys().chain(wanted.keys()).collect();
    let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "(absent)".to_owned());
    fields
        .into_iter()
        .filter(|field| is.get(*field) != wanted.get(*field))
        .map(|field| Change { field: field.clone(), from: shown(is.get(field)), to: shown(wanted.get(field)) })
        .collect()
}

/// The single values of a document by their path.
fn leaves(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, value)| leaves(&format!("{path}.{name}"), value, into));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, value)| leaves(&format!("{path}[{index}]"), value, into));
        }
        value => {
            into.insert(path.to_owned(), value.to_string());
        }
    }
}

fn to_text(items: &[Item], problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("problem  {problem}\n"));
    }
    for item in items.iter().filter(|item| !item.is(Standing::Converged) || !item.document.is_empty()) {
        let Item { planned, file, document } = item;
        let place = file.as_ref().map(|file| format!("   ({file})")).unwrap_or_default();
        text.push_str(&format!("{:<8} {}: {}{place}\n", item.action(), planned.id, item.why()));
        for change in document {
            text.push_str(&format!("           {change}\n"));
        }
        for change in item.runtime_changes() {
            text.push_str(&format!("           {change}\n"));
        }
    }
    let count = |of: usize, what: &str| format!("{of} {what}");
    let changes = items.iter().filter(|item| item.changes()).count();
    let blocked = items.iter().filter(|item| item.is(Standing::Blocked)).count();
    let as_declared = items.iter().filter(|item| item.is(Standing::Converged)).count();
    let parts = [
        count(changes, "to change"),
        count(blocked, "blocked"),
        count(as_declared, "as declared"),
        count(problems.len(), if problems.len() == 1 { "problem" } else { "problems" }),
    ];
    text.push_str(&parts.join(", "));
    text.push('\n');
    text
}

fn to_json(items: &[Item], problems: &[Problem]) -> Value {
    let instances: Vec<Value> = items
        .iter()
        .map(|item| {
            json!({
                "namespace": item.planned.id.namespace,
                "name": item.planned.id.name,
                "file": item.file,
                "action": item.action(),
                "why": item.why(),
                "document": item.document,
                "changes": item.runtime_changes(),
            })
        })
        .collect();
    json!({
        "changes": items.iter().filter(|item| item.changes()).count(),
        "instances": instances,
        "problems": problems,
    })
}
