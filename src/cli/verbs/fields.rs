//! `mai fields`: prints what each field of a document does on each platform, as the Markdown page
//! `docs/fields.md`.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use crate::api::{Effect, FIELDS, Field};

const INTRODUCTION: &str = "# Fields of a MaiInstance

What each field does where servers are processes (`mai compose`), containers (`mai compose --runtime docker`) and pods of a cluster. A field that has no effect is
refused, by `mai validate`, by `mai compose` and by the API server of a cluster, with the same sentence: nothing is accepted and ignored. `mai validate --runtime
kubernetes` says what a cluster would refuse. Only what a document declares is refused, never a default.

Items of a list are `[]`, values of a map `.*`. This page is the output of `mai fields`.
";

pub(in crate::cli) fn run() -> anyhow::Result<ExitCode> {
    std::io::stdout().lock().write_all(page()?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn page() -> Result<String, std::fmt::Error> {
    let mut page = INTRODUCTION.to_owned();
    let mut section = "";
    for field in FIELDS {
        let group = group(field.path);
        if group != section {
            write!(page, "\n## {group}\n\n| field | effect |\n|---|---|\n")?;
            section = group;
        }
        writeln!(page, "| `{}` | {} |", field.path, cell(field))?;
    }
    Ok(page)
}

/// Returns the section of a field: the object of the spec or status that it belongs to.
fn group(path: &str) -> &str {
    let mut dots = path.match_indices('.').map(|(index, _)| index);
    let (first, second) = (dots.next(), dots.next());
    let end = second.or(first).unwrap_or(path.len());
    path[..end].trim_end_matches("[]")
}

fn cell(field: &Field) -> String {
    let Field { process, docker, kubernetes, .. } = *field;
    if process == docker && docker == kubernetes {
        return sentence(process);
    }
    let mut parts = Vec::new();
    if process == docker {
        parts.push(("Process, Docker", process));
    } else {
        parts.push(("Process", process));
    }
    if docker == kubernetes {
        parts.push(("Docker, Kubernetes", docker));
    } else {
        if process != docker {
            parts.push(("Docker", docker));
        }
        parts.push(("Kubernetes", kubernetes));
    }
    parts
        .iter()
        .map(|(platform, effect)| format!("**{platform}:** {}", sentence(*effect)))
        .collect::<Vec<_>>()
        .join("<br>")
}

fn sentence(effect: Effect) -> String {
    match effect {
        Effect::Active(sentence) => sentence.to_owned(),
        Effect::Unsupported(refusal) => format!("Refused, since {}; {}.", refusal.cause, refusal.remedy),
    }
}
