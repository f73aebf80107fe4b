//! `kubectl mai plan`: what the operator would change now and why, field by field. It changes nothing itself.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::ResourceExt;
use tokio::sync::{Notify, mpsc};

use super::Cluster;
use crate::api::DOCUMENT_PROBLEM;
use crate::cli::shared::plan_output::{self, Item};
use crate::cli::verbs::operator::Entrances;
use crate::operator::ClusterRecord;
use crate::reconcile::plan;
use crate::runtime::kubernetes::{KubernetesOptions, KubernetesRuntime};
use crate::source::cluster::Preview;
use crate::state::Problem;

/// How long the cluster may take to list what is there.
const LISTING: Duration = Duration::from_secs(30);
/// How long the others are waited for once one kind could not be listed.
const REFUSED: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this instance
    name: Option<String>,

    /// Those of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,

    #[command(flatten)]
    entrances: Entrances,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let scope = (!args.all_namespaces).then_some(cluster.namespace.as_str());
    let preview = Preview::of(cluster.client.clone(), scope).await;
    let mut preview = preview.map_err(|error| cluster.failed("list the instances", &error))?;
    if let Some(name) = &args.name {
        preview.instances.retain(|instance| instance.name_any() == *name);
        preview.invalid.retain(|invalid| invalid.name == *name);
        if preview.instances.is_empty() && preview.invalid.is_empty() {
            return Err(cluster.unknown(name));
        }
    }
    let eyes = eyes(cluster, args).await?;
    let record = ClusterRecord::new(cluster.client.clone(), "kubectl-mai".to_owned());
    let planned = plan(&preview.instances, Some(&record), &preview, &eyes).await;
    let planned = planned.context("what is kept of the instances could not be read")?;
    let items: Vec<Item> =
        planned.into_iter().map(|planned| Item { planned, file: None, document: Vec::new() }).collect();
    plan_output::show(&items, &problems(&preview), args.json, |item| {
        args.all_namespaces.then_some(item.planned.id.namespace.as_str())
    })
}

/// Everything that is there, listed once.
async fn eyes(cluster: &Cluster, args: &Args) -> anyhow::Result<KubernetesRuntime> {
    let refused = Arc::<Notify>::default();
    let heard = Arc::clone(&refused);
    let (notices, _) = mpsc::unbounded_channel();
    let namespaces = if args.all_namespaces { BTreeSet::new() } else { BTreeSet::from([cluster.namespace.clone()]) };
    let eyes = KubernetesRuntime::open(
        cluster.client.clone(),
        KubernetesOptions {
            namespaces,
            entrances: args.entrances.names(),
            on_watch_error: Arc::new(move |_| heard.notify_one()),
            notices,
        },
    )
    .await;
    tokio::select! {
        () = eyes.all_listed() => {}
        () = async { refused.notified().await; tokio::time::sleep(REFUSED).await } => {}
        () = tokio::time::sleep(LISTING) => {}
    }
    match eyes.unknown() {
        Some(unknown) => anyhow::bail!("nothing can be planned: {unknown}"),
        None => Ok(eyes),
    }
}

/// What is wrong with documents.
fn problems(preview: &Preview) -> Vec<Problem> {
    let problem = |namespace: String, name: String, message: String| Problem {
        file: format!("{namespace}/{name}"),
        line: 0,
        column: 0,
        document: None,
        instance: Some((namespace, name)),
        field: String::new(),
        message,
    };
    let invalid = preview.invalid.iter().map(|invalid| {
        let message = format!("is not understood by this version of mai: {}", invalid.problem);
        problem(invalid.namespace.clone(), invalid.name.clone(), message)
    });
    let broken = preview.instances.iter().filter_map(|instance| {
        let message = instance.annotations().get(DOCUMENT_PROBLEM)?.clone();
        Some(problem(instance.namespace().unwrap_or_default(), instance.name_any(), message))
    });
    invalid.chain(broken).collect()
}
