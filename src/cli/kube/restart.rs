//! `kubectl mai restart NAME`: stops the server of one instance and starts it again; no document
//! changes.
//!
//! The pod template gets the annotation that `kubectl rollout restart` sets. The operator leaves
//! it, since it compares only fields that it declares. The cluster stops the old pod before it
//! creates a new one; after a deletion of the pod it would not wait.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Patch;
use serde_json::json;

use super::{Cluster, patch_params};

/// Annotation that `kubectl rollout restart` sets.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// Interval between checks.
const AGAIN: Duration = Duration::from_millis(250);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// Time to wait until it answers again
    #[arg(long, default_value = "3m", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    cluster.instance(name).await?;
    let (api, object) = (cluster.deployments(), format!("mai-{name}"));
    let failed = |error: kube::Error| cluster.failed(&format!("restart {name}"), &error);
    let found = api.get_opt(&object).await.map_err(failed)?;
    let found =
        found.with_context(|| format!("nothing was made for {name} yet; `kubectl mai status {name}` says why"))?;
    if found.spec.replicas == Some(0) {
        anyhow::bail!(
            "the server of {name} is stopped, so there is nothing to restart; see `kubectl mai status {name}`"
        );
    }
    let started = Instant::now();
    let now = Timestamp::now().to_string();
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}});
    let mut current = api.patch(&object, &patch_params(), &Patch::Merge(patch)).await.map_err(failed)?;
    let generation = current.metadata.generation;
    while !is_back(&current, generation) {
        if started.elapsed() > args.timeout {
            anyhow::bail!(
                "{name} does not answer after {} s; `kubectl mai status {name}` says why, `kubectl mai logs {name}` what it says",
                args.timeout.as_secs()
            );
        }
        tokio::time::sleep(AGAIN).await;
        current = api.get(&object).await.map_err(failed)?;
    }
    println!("{name:<20} restarted   answers again after {:.1} s", started.elapsed().as_secs_f32());
    Ok(ExitCode::SUCCESS)
}

/// Returns whether a pod of a template at least as new as `generation` is available, and no other
/// is left.
fn is_back(deployment: &Deployment, generation: Option<i64>) -> bool {
    let Some(status) = &deployment.status else { return false };
    status.observed_generation >= generation
        && status.updated_replicas.unwrap_or(0) >= 1
        && status.replicas == status.updated_replicas
        && status.available_replicas.unwrap_or(0) >= 1
}
