//! `kubectl mai status`: the state of each instance; those that need a person come first.

use std::process::ExitCode;

use comfy_table::{Cell, Table};
use futures::StreamExt;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};

use super::{Cluster, EVENT_HEADER, event_row, is_about};
use crate::api::MaiInstanceStatus;
use crate::cli::shared::status_output::{self, Format, HEADER, age};
use crate::cli::shared::table;

/// Events that are shown with one instance.
const EVENTS: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this instance, with its latest events
    name: Option<String>,

    /// Those of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,

    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    output: Format,

    /// Print it again whenever it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let mut shown = show(cluster, args).await?;
    status_output::say(args.watch, &shown)?;
    if args.watch {
        let events = watcher(cluster.instances(args.all_namespaces), watcher::Config::default()).default_backoff();
        let mut events = events.boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_)) => {}
                Ok(_) => continue,
                Err(error) => {
                    eprintln!("mai: the watch of the cluster failed: {error}; the state shown may be old");
                    continue;
                }
            }
            let now = show(cluster, args).await?;
            if now != shown {
                status_output::say(true, &now)?;
                shown = now;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(cluster: &Cluster, args: &Args) -> anyhow::Result<String> {
    let mut instances = match &args.name {
        Some(name) => vec![cluster.instance(name).await?],
        None => {
            let listed = cluster.instances(args.all_namespaces).list(&ListParams::default()).await;
            listed.map_err(|error| cluster.failed("list the instances", &error))?.items
        }
    };
    for instance in &mut instances {
        instance.metadata.managed_fields = None;
    }
    let list = || json!({"apiVersion": "v1", "kind": "List", "items": instances});
    match args.output {
        Format::Json => return Ok(format!("{:#}\n", list())),
        Format::Yaml => return Ok(serde_saphyr::to_string(&list())?),
        Format::Table | Format::Wide => {}
    }
    if instances.is_empty() {
        let place =
            if args.all_namespaces { "the cluster".to_owned() } else { format!("namespace {}", cluster.namespace) };
        return Ok(format!("there are no instances in {place}\n"));
    }
    let mut text = table::text(&standings(cluster, args, &instances).await?);
    if let Some(name) = &args.name {
        text.push_str(&events(cluster, name).await);
    }
    Ok(text)
}

async fn standings(cluster: &Cluster, args: &Args, instances: &[DynamicObject]) -> anyhow::Result<Table> {
    let mut header: Vec<&str> = HEADER.into();
    if args.all_namespaces {
        header.insert(0, "NAMESPACE");
    }
    let wide = args.output == Format::Wide;
    if wide {
        header.extend(["AGE", "POD", "NODE", "IMAGE", "UID"]);
    }
    let mut table = table::table(header);
    for instance in instances {
        let namespace = instance.namespace().unwrap_or_default();
        // The API server validates it; a status of another version is shown as far as it matches.
        let status: MaiInstanceStatus = serde_json::from_value(instance.data["status"].clone()).unwrap_or_default();
        let mut row: Vec<Cell> = status_output::row(&instance.name_any(), &status).into_iter().map(Cell::new).collect();
        if args.all_namespaces {
            row.insert(0, Cell::new(&namespace));
        }
        if wide {
            let pods = cluster.pods(&namespace, &instance.name_any()).await;
            // A person who may read instances need not be one who may read pods.
            let none = if pods.is_ok() { "" } else { "unknown" };
            let pod = pods.iter().flatten().next();
            let node = pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone());
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            row.extend([
                Cell::new(instance.creation_timestamp().map(|time| age(time.0)).unwrap_or_default()),
                Cell::new(pod.map_or_else(|| none.to_owned(), ResourceExt::name_any)),
                Cell::new(node.unwrap_or_else(|| none.to_owned())),
                Cell::new(text(&instance.data["spec"]["image"])),
                Cell::new(instance.uid().unwrap_or_default()),
            ]);
        }
        table.add_row(row);
    }
    Ok(table)
}

/// Returns the latest events of an instance. What the person may not read is left out with its cause.
async fn events(cluster: &Cluster, name: &str) -> String {
    let pods = cluster.pods(&cluster.namespace, name).await;
    let note = pods.as_ref().err().map(|error| format!("events of its pods are left out: {error:#}\n"));
    let mut text = String::from("\n");
    match cluster.events(&cluster.namespace).await {
        Ok(mut rows) => {
            let pods = pods.unwrap_or_default();
            rows.retain(|event| is_about(event, name, &pods));
            let mut table = table::table(EVENT_HEADER);
            table.add_rows(rows.iter().rev().take(EVENTS).map(event_row));
            text.push_str(&table::text(&table));
            text.push_str(&note.unwrap_or_default());
        }
        Err(error) => text.push_str(&format!("events are left out: {error:#}\n")),
    }
    text
}
