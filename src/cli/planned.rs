//! How a plan is shown, of a directory and of a cluster alike: as lines or as JSON, and by the exit code.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::reconcile::{Planned, Standing, Step};
use crate::runtime::Change;
use crate::state::Problem;

/// Something would change.
const CHANGES: u8 = 2;

/// One instance of the plan.
pub(super) struct Item {
    pub(super) planned: Planned,
    /// Where its document is, when that is a file.
    pub(super) file: Option<String>,
    /// Fields of the document that differ from the one that was accepted last.
    pub(super) document: Vec<Change>,
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
            Step::Update(_) => "it differs in what needs no other server".to_owned(),
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

/// Prints a plan; `place` is told beside the name of an instance.
pub(super) fn show<'a>(
    items: &'a [Item],
    problems: &[Problem],
    json: bool,
    place: impl Fn(&'a Item) -> Option<&'a str>,
) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{:#}", to_json(items, problems))?;
    } else {
        write!(out, "{}", to_text(items, problems, place))?;
    }
    let blocked = items.iter().any(|item| item.is(Standing::Blocked));
    Ok(if blocked || !problems.is_empty() {
        ExitCode::FAILURE
    } else if items.iter().any(Item::changes) {
        ExitCode::from(CHANGES)
    } else {
        ExitCode::SUCCESS
    })
}

fn to_text<'a>(items: &'a [Item], problems: &[Problem], place: impl Fn(&'a Item) -> Option<&'a str>) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("problem  {problem}\n"));
    }
    for item in items.iter().filter(|item| !item.is(Standing::Converged) || !item.document.is_empty()) {
        let Item { planned, document, .. } = item;
        let place = place(item).map(|place| format!("   ({place})")).unwrap_or_default();
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
