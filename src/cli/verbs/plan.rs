//! `mai plan DIR`: what `mai compose` would change now and why, field by field. It changes nothing itself.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::Value;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::plan_output::{self, DocumentChange, Item};
use crate::cli::shared::runtime::{Choice, RuntimeKind};
use crate::cli::shared::state_dir::Place;
use crate::reconcile::plan;
use crate::runtime::Observe;
use crate::runtime::docker::DockerRuntime;
use crate::runtime::process::Onlooker;
use crate::source::directory::{Preview, Previewed};
use crate::state::{State, StateError};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    choice: Choice,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(show(args))
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
    let runtime = args.choice.kind(&state_dir);
    let preview = Preview::of(&args.place.directory, known, runtime.platform()).await?;
    let items = match runtime {
        RuntimeKind::Process => {
            // As the servers know it: without symbolic links.
            let state_dir = state_dir.canonicalize().unwrap_or(state_dir);
            look(&preview, state.as_ref(), &Onlooker::new(state_dir)).await?
        }
        RuntimeKind::Docker => {
            let eyes = DockerRuntime::open_read_only(args.choice.docker(&state_dir)).await?;
            look(&preview, state.as_ref(), &eyes).await?
        }
    };
    if let Some(state) = state {
        state.close().await;
    }
    plan_output::show(&items, &preview.problems, args.json, |item| item.file.as_deref())
}

async fn look<E: Observe>(preview: &Preview, state: Option<&State>, eyes: &E) -> anyhow::Result<Vec<Item>> {
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

fn edits(one: &Previewed) -> Vec<DocumentChange> {
    let Some(before) = &one.before else { return Vec::new() };
    let (mut is, mut wanted) = (BTreeMap::new(), BTreeMap::new());
    leaves("spec", &before.document["spec"], &mut is);
    leaves("spec", &one.after.document["spec"], &mut wanted);
    let fields: std::collections::BTreeSet<&String> = is.keys().chain(wanted.keys()).collect();
    let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "(absent)".to_owned());
    fields
        .into_iter()
        .filter(|field| is.get(*field) != wanted.get(*field))
        .map(|field| DocumentChange { field: field.clone(), from: shown(is.get(field)), to: shown(wanted.get(field)) })
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
