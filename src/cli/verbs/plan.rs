//! `mai plan DIR`: what `mai compose` would change now and why, field by field. It changes nothing
//! itself.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde_json::Value;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::plan_output::{self, DocumentChange, Item};
use crate::cli::shared::runtime::RuntimeChoice;
use crate::cli::shared::state_dir::Place;
use crate::reconcile::plan;
use crate::runtime::{BoxedObserver, Observe};
use crate::source::directory::{Preview, Previewed};
use crate::state::{State, StateError};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    choice: RuntimeChoice,

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
    let observer = args.choice.observer(&state_dir).await?;
    let preview = Preview::read(&args.place.directory, known, observer.platform().kind, &args.place.policy()?).await?;
    let items = plan_all(&preview, state.as_ref(), &observer).await?;
    if let Some(state) = state {
        state.close().await;
    }
    plan_output::show(&items, &preview.problems, args.json, |item| item.file.as_deref())
}

async fn plan_all(preview: &Preview, state: Option<&State>, observer: &BoxedObserver) -> anyhow::Result<Vec<Item>> {
    let instances: Vec<_> = preview.instances.iter().map(|one| Arc::new(one.instance.clone())).collect();
    let planned = plan(&instances, state, preview, observer).await.context("the state could not be read")?;
    let previewed = |uid: &str| preview.instances.iter().find(|one| one.after.uid == uid);
    Ok(planned
        .into_iter()
        .map(|planned| {
            let one = previewed(&planned.id.uid);
            Item {
                file: one.and_then(|one| one.after.file.clone()),
                document: one.map(edits).unwrap_or_default(),
                insisted: Vec::new(),
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

/// Collects the single values of a document by their path.
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
