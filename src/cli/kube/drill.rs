//! `kubectl mai drill NAME`: asks for a drill of one instance and waits for its result. The request
//! is an annotation of its document, which a document in a repository may have as well.

use std::process::ExitCode;
use std::time::Instant;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Patch;
use serde_json::json;

use super::request::{AGAIN, WaitArgs};
use super::{Cluster, patch_params};
use crate::api::{
    DRILL_REQUESTED, DrillResult, DrillStatus, LastDrill, MaiInstance, MaiInstanceStatus, PAUSED, PassedDrill,
};
use crate::cli::shared::backup_output::local;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let Args { name, wait } = args;
    let instance = cluster.understood_instance(name).await?;
    require_possible(&instance)?;
    let value = Timestamp::now().to_string();
    let patch = json!({"metadata": {"annotations": {DRILL_REQUESTED: value}}});
    let patched = cluster.instances(false).patch(name, &patch_params(), &Patch::Merge(patch)).await;
    patched.map_err(|error| cluster.failed(&format!("drill of {name}"), &error))?;
    println!("{name:<20} drill requested");
    if wait.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let began = Instant::now();
    loop {
        let status = cluster.understood_instance(name).await?.status.unwrap_or_default();
        if let Some(ended) = ended(&status, &value) {
            return Ok(print(name, &status, ended));
        }
        if began.elapsed() > wait.timeout {
            anyhow::bail!(
                "the drill of {name} is not done after {} s and goes on; `kubectl mai status {name}` shows how it stands",
                wait.timeout.as_secs()
            );
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Fails where the operator would not make a drill.
fn require_possible(instance: &MaiInstance) -> anyhow::Result<()> {
    let name = instance.name_any();
    if instance.annotations().get(PAUSED).is_some_and(|value| value == "true") {
        anyhow::bail!("{name} is paused, so no drill is made; remove its annotation {PAUSED}");
    }
    let backup = instance.status.as_ref().and_then(|status| status.backup.as_ref());
    if backup.is_none_or(|backup| backup.last_verified.is_none()) {
        anyhow::bail!("no backup of {name} was verified yet; `kubectl mai backup {name}` makes one");
    }
    Ok(())
}

/// Returns the drill that a value of the annotation asked for, once it has ended.
fn ended<'s>(status: &'s MaiInstanceStatus, value: &str) -> Option<&'s LastDrill> {
    let drills: &DrillStatus = status.backup.as_ref()?.drill.as_ref()?;
    let is_handled = drills.handled_request.as_deref() == Some(value);
    drills.last.as_ref().filter(|last| is_handled && last.ended_at.is_some())
}

fn print(name: &str, status: &MaiInstanceStatus, drill: &LastDrill) -> ExitCode {
    if drill.result == DrillResult::Passed {
        let passed = status.backup.as_ref().and_then(|backup| backup.drill.as_ref()?.passed.as_ref());
        if let Some(PassedDrill { backup, taken_at, destination, recovery_seconds, .. }) = passed {
            let taken_at = local(*taken_at);
            println!("{name:<20} backup {backup} of {taken_at} came back from {destination} in {recovery_seconds} s");
        }
        return ExitCode::SUCCESS;
    }
    eprintln!("mai: the drill of {name} failed: {}", drill.message);
    ExitCode::FAILURE
}
