//! `mai status DIR`: how each instance stands, read from the state database without disturbing the reconciler.

use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::state_dir::Place;
use crate::api::{API_VERSION, MaiInstanceStatus};
use crate::state::{KnownDocument, Problem, State};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,

    /// Only this instance, with its latest events
    name: Option<String>,

    /// How to print it
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// The documents with their status
    Json,
    /// The same as YAML
    Yaml,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(args))
}

async fn show(args: &Args) -> anyhow::Result<ExitCode> {
    let state = State::open_read_only(&args.place.state_dir()?).await?;
    let mut instances = Vec::new();
    for document in state.documents().await? {
        if document.released_at.is_none() && args.name.as_ref().is_none_or(|name| *name == document.name) {
            let status = state.status(&document.uid).await?.unwrap_or_default();
            instances.push((document, status));
        }
    }
    if let (Some(name), true) = (&args.name, instances.is_empty()) {
        anyhow::bail!(
            "there is no instance {name} in {}; `mai status {}` lists them",
            args.place.directory.display(),
            args.place.directory.display()
        );
    }
    let list = || json!({"apiVersion": "v1", "kind": "List", "items": instances.iter().map(|(document, status)| item(document, status)).collect::<Vec<_>>()});
    match args.output {
        Format::Json => println!("{}", serde_json::to_string_pretty(&list())?),
        Format::Yaml => print!("{}", serde_saphyr::to_string(&list())?),
        Format::Table => {
            println!("{}", table(&instances));
            problems(&state.problems().await?);
            if let Some(name) = &args.name {
                events(&state, &instances, name).await?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
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

fn table(instances: &[(KnownDocument, MaiInstanceStatus)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["NAME", "READY", "REASON", "ADDRESS", "VERSION", "RESTARTS", "MESSAGE"]);
    for (document, status) in instances {
        let of = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
        let ready = of("Ready");
        let stalled = of("Stalled").filter(|condition| condition.status == "True");
        // What a person has to do comes before what is.
        let telling = stalled.or(ready);
        table.add_row([
            document.name.clone(),
            ready.map_or("Unknown", |condition| &condition.status).to_owned(),
            telling.map_or("Pending", |condition| &condition.reason).to_owned(),
            status.address.clone().unwrap_or_default(),
            status.version.clone().unwrap_or_default(),
            status.restarts.to_string(),
            telling.map_or("", |condition| &condition.message).to_owned(),
        ]);
    }
    table
}

fn problems(problems: &[Problem]) {
    if !problems.is_empty() {
        println!();
    }
    for problem in problems {
        println!("{problem}");
    }
}

async fn events(state: &State, instances: &[(KnownDocument, MaiInstanceStatus)], name: &str) -> anyhow::Result<()> {
    for (document, _) in instances {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["LAST SEEN", "COUNT", "TYPE", "REASON", "MESSAGE"]);
        for event in state.events(&document.namespace, name, 20).await? {
            table.add_row([
                event.last_seen.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
                event.count.to_string(),
                event.kind.as_str().to_owned(),
                event.reason,
                event.message,
            ]);
        }
        println!("\n{table}");
    }
    Ok(())
}
