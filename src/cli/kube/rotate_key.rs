//! `kubectl mai rotate-key NAME`: asks the operator for another key of one instance at its upstream, by
//! an annotation, and waits until the server has it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::api::Patch;
use serde_json::json;

use super::{Cluster, patch_params};
use crate::api::KEY_ROTATION_REQUESTED;
use crate::cli::shared::key_rotation::{Rotation, hash_before, progress};

/// Interval between checks.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// Time to wait until the server has the new key
    #[arg(long, default_value = "3m", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    let before = hash_before(name, cluster.understood_instance(name).await?.status.as_ref())?;
    let patch = json!({"metadata": {"annotations": {KEY_ROTATION_REQUESTED: Timestamp::now().to_string()}}});
    let patched = cluster.instances(false).patch(name, &patch_params(), &Patch::Merge(patch)).await;
    patched.map_err(|error| cluster.failed(&format!("rotate the key of {name}"), &error))?;
    let began = Instant::now();
    let mut cause = String::from("the operator has not answered");
    while began.elapsed() < args.timeout {
        match cluster.understood_instance(name).await?.status.map(|status| progress(&before, &status)) {
            Some(Rotation::Done(hash)) => {
                println!("{name:<20} has a new key (hash {hash}); the former one works for its grace period");
                return Ok(ExitCode::SUCCESS);
            }
            Some(Rotation::HeldUp(message)) => cause = message,
            Some(Rotation::UnderWay) | None => {}
        }
        tokio::time::sleep(AGAIN).await;
    }
    anyhow::bail!("the server of {name} has no new key yet, and it is tried again: {cause}")
}
