//! `kubectl mai plan`: the changes that the operator would make now, field by field. It writes
//! nothing.

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
use crate::cli::shared::policy::PolicyArgs;
use crate::cli::verbs::operator::Entrances;
use crate::operator::ClusterRecord;
use crate::reconcile::{Planned, plan};
use crate::runtime::kubernetes::{KubernetesOptions, KubernetesRuntime, OperatorPlace};
use crate::source::cluster::Preview;
use crate::state::Problem;

/// Longest time for the cluster to list its objects.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for the other kinds once one could not be listed.
const TIMEOUT_AFTER_FAILURE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this instance
    name: Option<String>,

    /// Those of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,

    #[command(flatten)]
    entrances: Entrances,

    #[command(flatten)]
    policy: PolicyArgs,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let scope = (!args.all_namespaces).then_some(cluster.namespace.as_str());
    // The operator's policy is not here; what it refused shows in the conditions.
    let policy = match args.policy.is_named() {
        true => Some(args.policy.file(None).read()?),
        false => None,
    };
    let preview = Preview::list(cluster.client.clone(), scope, policy).await;
    let mut preview = preview.map_err(|error| cluster.failed("list the instances", &error))?;
    if let Some(name) = &args.name {
        preview.instances.retain(|instance| instance.name_any() == *name);
        preview.invalid.retain(|invalid| invalid.name == *name);
        if preview.instances.is_empty() && preview.invalid.is_empty() {
            return Err(cluster.unknown(name));
        }
    }
    let runtime = observer(cluster, args).await?;
    let record = ClusterRecord::new(cluster.client.clone(), "kubectl-mai".to_owned());
    let planned = plan(&preview.instances, Some(&record), &preview, &runtime).await;
    let planned = planned.context("the session keys of the instances could not be read")?;
    let item = |planned: Planned| Item {
        insisted: runtime.kept_differences(&planned.id),
        planned,
        file: None,
        document: Vec::new(),
    };
    let items: Vec<Item> = planned.into_iter().map(item).collect();
    plan_output::show(&items, &problems(&preview), args.json, |item| {
        args.all_namespaces.then_some(item.planned.id.namespace.as_str())
    })
}

/// Returns a runtime that has listed the objects of the cluster.
async fn observer(cluster: &Cluster, args: &Args) -> anyhow::Result<KubernetesRuntime> {
    let failed = Arc::<Notify>::default();
    let on_failure = Arc::clone(&failed);
    let (warnings, _) = mpsc::unbounded_channel();
    let namespaces = if args.all_namespaces { BTreeSet::new() } else { BTreeSet::from([cluster.namespace.clone()]) };
    let runtime = KubernetesRuntime::open(
        cluster.client.clone(),
        KubernetesOptions {
            namespaces,
            ingress_namespaces: args.entrances.names(),
            operator_place: OperatorPlace::AsAdmitted,
            asks_versions: false,
            tries_differences: true,
            helper_image: None,
            refusal_interval: LIST_TIMEOUT,
            on_watch_error: Arc::new(move |_| on_failure.notify_one()),
            warnings,
        },
    )
    .await;
    tokio::select! {
        () = runtime.all_listed() => {}
        () = async { failed.notified().await; tokio::time::sleep(TIMEOUT_AFTER_FAILURE).await } => {}
        () = tokio::time::sleep(LIST_TIMEOUT) => {}
    }
    match runtime.unlisted() {
        Some(unlisted) => anyhow::bail!("nothing can be planned: {unlisted}"),
        None => Ok(runtime),
    }
}

/// Returns the problems of documents.
fn problems(preview: &Preview) -> Vec<Problem> {
    let problem = |namespace: String, name: String, message: String| Problem {
        file: format!("{namespace}/{name}"),
        line: 0,
        column: 0,
        document: None,
        instance: Some((namespace, name)),
        field: String::new(),
        message,
        refused: false,
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
