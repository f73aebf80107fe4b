//! `mai validate PATH…`: says all that is wrong with documents, by file and line, before they are
//! put to use.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;

use crate::api::PlatformKind;
use crate::cli::shared::policy::PolicyArgs;
use crate::cli::shared::terminal::PrintableOutput;
use crate::source::directory::{Judged, Severity, Verdict, judge, read};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Files, or directories that are read with their folders
    #[arg(required = true)]
    paths: Vec<PathBuf>,

    /// Platform whose documents these are: fields without effect on it are errors too
    #[arg(long, value_enum, value_name = "RUNTIME")]
    runtime: Option<Platform>,

    #[command(flatten)]
    policy: PolicyArgs,

    /// Output format
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Platform {
    /// Child processes of `mai compose`
    Process,
    /// Containers of `mai compose --runtime docker`
    Docker,
    /// A cluster
    Kubernetes,
}

impl From<Platform> for PlatformKind {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::Process => Self::Process,
            Platform::Docker => Self::Docker,
            Platform::Kubernetes => Self::Kubernetes,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// One line each, with the line of the file on a terminal
    Text,
    /// One JSON object
    Json,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let trees: Vec<_> = args.paths.iter().map(|path| (path.as_path(), read(path))).collect();
    let file = args.policy.file(None);
    for path in &args.paths {
        file.require_outside(path)?;
    }
    let policy = Arc::new(file.read()?);
    let verdict = judge(&trees, args.runtime.map(PlatformKind::from), &policy);
    let mut out = PrintableOutput::stdout();
    match args.output {
        Output::Json => writeln!(out, "{:#}", to_json(&verdict))?,
        Output::Text => {
            let on_terminal = out.is_terminal();
            for judged in &verdict.findings {
                writeln!(out, "{}", to_line(judged))?;
                if on_terminal && judged.quotable {
                    write!(out, "{}", snippet(judged))?;
                }
            }
            writeln!(out, "{}", summary(&verdict))?;
        }
    }
    Ok(if verdict.count(Severity::Error) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn to_line(judged: &Judged) -> String {
    match judged.severity {
        Severity::Error => judged.problem.to_string(),
        Severity::Warning => {
            let mut problem = judged.problem.clone();
            let field = if problem.field.is_empty() { String::new() } else { format!("{}: ", problem.field) };
            problem.message = format!("warning: {field}{}", problem.message);
            problem.field.clear();
            problem.to_string()
        }
    }
}

fn summary(verdict: &Verdict) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let of = format!("{} in {}", count(verdict.instances, "instance"), count(verdict.files, "file"));
    match verdict.count(Severity::Error) {
        0 if verdict.instances == 1 => format!("{of} is valid"),
        0 => format!("{of} are valid"),
        errors => format!("{}, {of}", count(errors, "error")),
    }
}

/// The line of the file with a caret below the place, as compilers show it; nothing when the file
/// changed meanwhile.
fn snippet(judged: &Judged) -> String {
    let problem = &judged.problem;
    let text = std::fs::read_to_string(&problem.file).unwrap_or_default();
    let Some(line) = text.lines().nth((problem.line as usize).wrapping_sub(1)) else { return String::new() };
    let column = (problem.column as usize).max(1) - 1;
    let length = line.chars().skip(column).take_while(|c| !c.is_whitespace() && *c != ':').count().max(1);
    let blank: String = line.chars().take(column).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let number = problem.line.to_string();
    let margin = " ".repeat(number.len());
    format!("  {number} | {line}\n  {margin} | {blank}{}\n", "^".repeat(length))
}

fn to_json(verdict: &Verdict) -> serde_json::Value {
    let findings: Vec<_> = verdict
        .findings
        .iter()
        .map(|judged| {
            let problem = &judged.problem;
            let (namespace, name) = problem.instance.clone().unzip();
            json!({
                "severity": judged.severity, "file": problem.file, "line": problem.line, "column": problem.column,
                "document": problem.document, "namespace": namespace, "name": name,
                "field": problem.field, "message": problem.message,
            })
        })
        .collect();
    json!({
        "valid": verdict.count(Severity::Error) == 0,
        "instances": verdict.instances,
        "files": verdict.files,
        "findings": findings,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::state::Problem;

    #[test]
    fn a_snippet_points_at_its_field() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "spec:\n  expose:\n    port: 99999\n").unwrap();
        let problem = Problem {
            file: file.path().display().to_string(),
            line: 3,
            column: 5,
            document: Some(0),
            instance: None,
            field: "spec.expose.port".to_owned(),
            message: "is wrong".to_owned(),
            refused: false,
        };
        let judged = Judged { severity: Severity::Error, problem, quotable: true };
        assert_eq!(snippet(&judged), "  3 |     port: 99999\n    |     ^^^^\n");
    }
}
