//! Output of a plan, of a directory and of a cluster alike: lines or JSON, and the exit code.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::terminal::PrintableOutput;
use crate::core::{Action, Change, JobWork};
use crate::reconcile::{PlanState, Planned};
use crate::state::Problem;

/// Exit code when something would change.
const CHANGES: u8 = 2;

/// One instance of the plan.
pub(in crate::cli) struct Item {
    pub(in crate::cli) planned: Planned,
    /// File of its document, if it has one.
    pub(in crate::cli) file: Option<String>,
    /// Fields of the document that differ from the one that was accepted last.
    pub(in crate::cli) document: Vec<DocumentChange>,
    /// Differences on which the platform insists. They stay, and are nothing to change.
    pub(in crate::cli) insisted: Vec<Change>,
}

/// A field of a document that differs from the one that was accepted last.
#[derive(Debug, serde::Serialize)]
pub(in crate::cli) struct DocumentChange {
    pub(in crate::cli) field: String,
    pub(in crate::cli) from: String,
    pub(in crate::cli) to: String,
}

impl std::fmt::Display for DocumentChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.from, self.to)
    }
}

impl Item {
    /// Returns whether an action would be applied that changes what runs. A job that is due is no
    /// difference from what is declared.
    fn changes(&self) -> bool {
        self.planned.action != Action::Wait && !self.is_of_jobs()
    }

    fn is_of_jobs(&self) -> bool {
        matches!(self.planned.action, Action::StartJob(_) | Action::RemoveJob(_) | Action::AnswerRestore(_))
    }

    fn is(&self, standing: PlanState) -> bool {
        !self.changes() && self.planned.state == standing
    }

    fn action(&self) -> &'static str {
        match (&self.planned.action, self.planned.state) {
            (Action::Wait, PlanState::Converged) => "none",
            (Action::Wait, PlanState::Progressing) => "wait",
            (Action::Wait, PlanState::Blocked) => "blocked",
            (Action::Prepare(_), _) => "prepare",
            (Action::Start, _) => "start",
            (Action::Resume, _) => "resume",
            (Action::Update(_), _) => "update",
            (Action::Recreate(_), _) => "replace",
            (Action::Commit, _) => "commit",
            (Action::RollBack(_), _) => "rollBack",
            (Action::Stop(_), _) => "stop",
            (Action::Remove, _) => "remove",
            (Action::RemoveData { .. }, _) => "removeData",
            (Action::RemoveFinalizer, _) => "release",
            (Action::StartJob(request), _) => match request.work {
                JobWork::Backup | JobWork::SafetyBackup => "backup",
                JobWork::Restore { .. } | JobWork::Swap { .. } => "restore",
                JobWork::Drill(_) => "drill",
            },
            (Action::RemoveJob(_), _) => "endJob",
            (Action::AnswerRestore(_), _) => "answer",
        }
    }

    /// Returns the reason of the action, as a sentence.
    fn why(&self) -> String {
        match &self.planned.action {
            Action::Prepare(missing) => format!("{missing} is needed first and is not there"),
            Action::Start => "nothing runs for it".to_owned(),
            Action::Resume => "it is there and does not run".to_owned(),
            Action::Update(_) => "it differs in what needs no other server".to_owned(),
            Action::Recreate(_) => "it differs in what needs another server".to_owned(),
            Action::Commit => "its replacement answers; what was replaced is not needed any more".to_owned(),
            Action::RollBack(why) | Action::Stop(why) => why.clone(),
            Action::Remove | Action::RemoveData { .. } | Action::RemoveFinalizer => {
                "the document was removed".to_owned()
            }
            Action::StartJob(request) => request.reason.clone(),
            Action::RemoveJob(_) => "its job has ended".to_owned(),
            Action::AnswerRestore(_) => "the restore that was asked for has ended".to_owned(),
            Action::Wait if self.is(PlanState::Converged) && !self.insisted.is_empty() => {
                "as declared, but for what the cluster or a webhook of it insists on".to_owned()
            }
            Action::Wait => self.planned.message.clone(),
        }
    }

    fn runtime_changes(&self) -> &[Change] {
        match &self.planned.action {
            Action::Update(changes) | Action::Recreate(changes) => changes,
            _ => &[],
        }
    }
}

/// Prints a plan. `place` is printed next to the name of an instance.
pub(in crate::cli) fn show<'a>(
    items: &'a [Item],
    problems: &[Problem],
    json: bool,
    place: impl Fn(&'a Item) -> Option<&'a str>,
) -> anyhow::Result<ExitCode> {
    let mut out = PrintableOutput::stdout();
    if json {
        writeln!(out, "{:#}", to_json(items, problems))?;
    } else {
        write!(out, "{}", to_text(items, problems, place))?;
    }
    let blocked = items.iter().any(|item| item.is(PlanState::Blocked));
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
    let is_worth_a_line = |item: &&Item| {
        !item.is(PlanState::Converged) || item.is_of_jobs() || !item.document.is_empty() || !item.insisted.is_empty()
    };
    for item in items.iter().filter(is_worth_a_line) {
        let Item { planned, document, .. } = item;
        let place = place(item).map(|place| format!("   ({place})")).unwrap_or_default();
        text.push_str(&format!("{:<8} {}: {}{place}\n", item.action(), planned.id, item.why()));
        for change in document {
            text.push_str(&format!("           {change}\n"));
        }
        for change in item.runtime_changes() {
            text.push_str(&format!("           {change}\n"));
        }
        for change in &item.insisted {
            text.push_str(&format!("           {}: {} stays, instead of {}\n", change.field, change.from, change.to));
        }
    }
    let count = |of: usize, what: &str| format!("{of} {what}");
    let changes = items.iter().filter(|item| item.changes()).count();
    let blocked = items.iter().filter(|item| item.is(PlanState::Blocked)).count();
    let as_declared = items.iter().filter(|item| item.is(PlanState::Converged)).count();
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
                "insisted": item.insisted,
            })
        })
        .collect();
    json!({
        "changes": items.iter().filter(|item| item.changes()).count(),
        "instances": instances,
        "problems": problems,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Effect, Field, InstanceId, JobRequest};

    fn item(action: Action) -> Item {
        let id = InstanceId { namespace: "default".to_owned(), name: "abc".to_owned(), uid: "1".to_owned() };
        let planned = Planned { id, action, state: PlanState::Converged, message: "the instance answers".to_owned() };
        Item { planned, file: None, document: Vec::new(), insisted: Vec::new() }
    }

    #[test]
    fn due_backup_is_shown_and_is_no_difference() {
        let request = JobRequest {
            name: "20261130-020000-1f2e3d".to_owned(),
            reason: "scheduled for 02:00".to_owned(),
            work: JobWork::Backup,
        };
        let items = [item(Action::StartJob(request)), item(Action::Wait)];
        let text = to_text(&items, &[], |_| None);
        assert_eq!(text, "backup   abc: scheduled for 02:00\n0 to change, 0 blocked, 2 as declared, 0 problems\n");
        assert_eq!(to_json(&items, &[])["changes"], 0);
        assert!(item(Action::Start).changes());
    }

    #[test]
    fn value_that_the_cluster_insists_on_is_no_change() {
        let field = Field::ObjectField { kind: "Deployment", path: ".spec.revisionHistoryLimit".to_owned() };
        let change = Change { field, effect: Effect::Auxiliary, from: "3".to_owned(), to: "10".to_owned() };
        let items = [Item { insisted: vec![change], ..item(Action::Wait) }];
        let text = to_text(&items, &[], |_| None);
        let expected = "none     abc: as declared, but for what the cluster or a webhook of it insists on\n           Deployment.spec.revisionHistoryLimit: 3 stays, instead of 10\n0 to change, 0 blocked, 1 as declared, 0 problems\n";
        assert_eq!(text, expected);
        let json = to_json(&items, &[]);
        assert_eq!((&json["changes"], &json["instances"][0]["insisted"][0]["from"]), (&json!(0), &json!("3")));
    }
}
