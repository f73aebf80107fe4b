//! `kubectl mai backup NAME`: asks for a backup of one instance and waits for its result. The
//! request is a `MaiBackup`, so whoever may create one needs no other permission.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::{Api, PostParams};

use super::Cluster;
use crate::api::{MaiBackup, MaiBackupPhase, MaiBackupSpec, MaiBackupStatus};

/// Interval between checks.
const AGAIN: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// Reason, which is stored with the backup
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Return at once; `kubectl get maibackups` shows how it goes on
    #[arg(long)]
    no_wait: bool,

    /// Time to wait until it is made
    #[arg(long, default_value = "1h", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    cluster.instance(name).await?;
    let api: Api<MaiBackup> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let failed = |error: kube::Error| cluster.failed_for(&format!("back up {name}"), "MaiBackup", &error);
    let mut request = MaiBackup::new("", MaiBackupSpec { instance: name.clone(), reason: args.reason.clone() });
    request.metadata.name = None;
    request.metadata.generate_name = Some(format!("{name}-"));
    let created = api.create(&PostParams::default(), &request).await.map_err(failed)?;
    let request = created.name_any();
    println!("{name:<20} backup requested as maibackup/{request}");
    if args.no_wait {
        return Ok(ExitCode::SUCCESS);
    }
    let began = Instant::now();
    let mut shown = None;
    loop {
        let found = api.get(&request).await.map_err(failed)?;
        let status = found.status.unwrap_or_default();
        if status.is_answered() {
            return Ok(finish(name, &status));
        }
        if status.message.is_some() && status.message != shown {
            shown.clone_from(&status.message);
            println!("{name:<20} {}", status.message.as_deref().unwrap_or_default());
        }
        if began.elapsed() > args.timeout {
            anyhow::bail!(
                "the backup of {name} is not made after {} s and goes on; `kubectl get maibackup {request} -n {}` shows its state, `kubectl mai status {name}` that of the instance",
                args.timeout.as_secs(),
                cluster.namespace
            );
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Prints the result and returns the exit code.
fn finish(name: &str, status: &MaiBackupStatus) -> ExitCode {
    let message = status.message.as_deref().unwrap_or_default();
    if status.phase == Some(MaiBackupPhase::Completed) {
        let backup = status.backup.as_deref().unwrap_or_default();
        println!("{name:<20} backup {backup} is made: {message}");
        return ExitCode::SUCCESS;
    }
    eprintln!("mai: the backup of {name} failed: {message}");
    ExitCode::FAILURE
}
