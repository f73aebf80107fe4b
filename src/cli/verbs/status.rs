//! `mai status DIR`: prints the status of each instance from the state database.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Cell, Table};
use serde_json::{Value, json};

use crate::api::{API_VERSION, MaiInstanceStatus};
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::recovery_kit;
use crate::cli::shared::runtime::RuntimeKind;
use crate::cli::shared::state_dir::Place;
use crate::cli::shared::status_output::{self, Format, HEADER, age};
use crate::cli::shared::table;
use crate::cli::shared::unaccepted::Unaccepted;
use crate::core::InstanceId;
use crate::recovery::ServerBackupRecord;
use crate::state::{KnownDocument, Problem, State};

/// Interval between reads of a watched status.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    /// Only this instance, with its latest events
    name: Option<String>,

    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Format,

    /// Print it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let mut shown = show(args).await?;
        status_output::say(args.watch, &shown)?;
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        loop {
            tokio::time::sleep(AGAIN).await;
            let now = show(args).await?;
            if now != shown {
                status_output::say(args.watch, &now)?;
                shown = now;
            }
        }
    })
}

async fn show(args: &Args) -> anyhow::Result<String> {
    let state_dir = args.place.state_dir()?;
    let state = State::open_read_only(&state_dir).await?;
    let text = render(args, &state_dir, &state).await;
    state.close().await;
    text
}

async fn render(args: &Args, state_dir: &Path, state: &State) -> anyhow::Result<String> {
    let mut instances = Vec::new();
    let (known, problems) = (state.documents().await?, state.problems().await?);
    let is_shown = |name: &str| args.name.as_ref().is_none_or(|wanted| wanted == name);
    let mut unaccepted = Unaccepted::all(state, &problems, &known).await?;
    unaccepted.retain(|one| is_shown(&one.name));
    for document in known {
        if document.released_at.is_none() && is_shown(&document.name) {
            let status = state.status(&document.uid).await?.unwrap_or_default();
            instances.push((document, status));
        }
    }
    if let (Some(name), true) = (&args.name, instances.is_empty() && unaccepted.is_empty()) {
        anyhow::bail!(
            "there is no instance {name} in {}; `mai status {}` lists them",
            args.place.directory.display(),
            args.place.directory.display()
        );
    }
    let list = || {
        let items = instances.iter().map(|(document, status)| item(document, status));
        let items: Vec<Value> = items.chain(unaccepted.iter().map(Unaccepted::item)).collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items})
    };
    Ok(match args.output {
        Format::Json => format!("{}\n", serde_json::to_string_pretty(&list())?),
        Format::Yaml => serde_saphyr::to_string(&list())?,
        Format::Table | Format::Wide => {
            let mut table = standings(&instances);
            if args.output == Format::Wide {
                widen(&mut table, &instances, state_dir)?;
            }
            for one in &unaccepted {
                let mut row = status_output::row(&one.name, &one.status).to_vec();
                if args.output == Format::Wide {
                    // What runs, age, image and uid are of accepted documents alone.
                    row.extend(["", "", "", "", &one.file].map(str::to_owned));
                }
                table.add_row(row);
            }
            let mut text = table::text(&table) + &problem_lines(&problems);
            if State::holder(state_dir)?.is_none() {
                let directory = args.place.directory.display();
                text.push_str(&format!(
                    "\nno reconciler runs, so this is how it was when the last one ended; run `mai compose {directory}`\n"
                ));
            }
            text.push_str(&recovery(args, state_dir, state).await?);
            if let Some(name) = &args.name {
                let known = instances.iter().map(|(document, _)| &document.namespace);
                for namespace in known.chain(unaccepted.iter().map(|one| &one.namespace)) {
                    text.push_str(&events(state, namespace, name).await?);
                }
            }
            text
        }
    })
}

/// Adds the columns of the wide format.
fn widen(table: &mut Table, instances: &[(KnownDocument, MaiInstanceStatus)], state_dir: &Path) -> anyhow::Result<()> {
    let ids: Vec<InstanceId> = instances
        .iter()
        .map(|(document, _)| InstanceId {
            namespace: document.namespace.clone(),
            name: document.name.clone(),
            uid: document.uid.clone(),
        })
        .collect();
    let names = RuntimeKind::recorded(state_dir).manual(state_dir, None).names(&ids)?;
    table.set_header(HEADER.into_iter().chain(["AGE", "RUNS AS", "IMAGE", "UID", "FILE"]));
    for ((row, (document, _)), name) in table.row_iter_mut().zip(instances).zip(names) {
        let image = document.document["spec"]["image"].as_str().unwrap_or_default().to_owned();
        let file = document.file.clone().unwrap_or_default();
        for text in [age(document.created_at), name, image, document.uid.clone(), file] {
            row.add_cell(Cell::new(text));
        }
    }
    Ok(())
}

fn item(document: &KnownDocument, status: &MaiInstanceStatus) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": "MaiInstance",
        "metadata": {
            "name": document.name,
            "namespace": document.namespace,
            "uid": document.uid,
            "generation": document.generation,
            "creationTimestamp": document.created_at,
            "deletionTimestamp": document.deleted_at,
        },
        "spec": document.document["spec"],
        "status": status,
    })
}

fn standings(instances: &[(KnownDocument, MaiInstanceStatus)]) -> Table {
    let mut table = table::table(HEADER);
    table.add_rows(instances.iter().map(|(document, status)| status_output::row(&document.name, status)));
    table
}

fn problem_lines(problems: &[Problem]) -> String {
    let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Returns what there is to say of the end of the whole server.
async fn recovery(args: &Args, state_dir: &Path, state: &State) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    if let Some(record) = ServerBackupRecord::read(state_dir)? {
        let to = &record.to;
        lines.extend(record.newest.map(|newest| format!("backup of the server: {} in {to}", newest.id)));
        lines.extend(record.problem.map(|problem| format!("the server itself is not backed up: {problem}")));
    }
    lines.extend(recovery_kit::reminder(state, state_dir, &args.place.directory).await?);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    Ok(if text.is_empty() { text } else { format!("\n{text}") })
}

async fn events(state: &State, namespace: &str, name: &str) -> anyhow::Result<String> {
    let mut table = table::table(["LAST SEEN", "COUNT", "TYPE", "REASON", "MESSAGE"]);
    for event in state.events(namespace, name, 20).await? {
        table.add_row([
            event.last_seen.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            event.count.to_string(),
            event.kind.as_str().to_owned(),
            event.reason,
            event.message,
        ]);
    }
    Ok(format!("\n{}", table::text(&table)))
}
