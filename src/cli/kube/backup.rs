//! `kubectl mai backup NAME`: asks for a backup of one instance and waits for its result. The
//! request is a `MaiBackup`, so whoever may create one needs no other permission.

use std::process::ExitCode;

use super::Cluster;
use super::request::{Request, WaitArgs, request};
use crate::api::{MaiBackup, MaiBackupSpec, MaiBackupStatus, RequestPhase};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// Reason, which is stored with the backup
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    wait: WaitArgs,
}

impl Request for MaiBackup {
    const WORK: &'static str = "backup";

    fn is_answered(&self) -> bool {
        self.status.as_ref().is_some_and(MaiBackupStatus::is_answered)
    }

    fn message(&self) -> Option<&str> {
        self.status.as_ref()?.message.as_deref()
    }
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    cluster.instance(name).await?;
    let wanted = MaiBackup::new("", MaiBackupSpec { instance: name.clone(), reason: args.reason.clone() });
    let Some(answered) = request(cluster, name, wanted, &args.wait).await? else { return Ok(ExitCode::SUCCESS) };
    let (message, status) = (answered.message().unwrap_or_default(), answered.status.as_ref());
    if status.is_some_and(|status| status.phase == Some(RequestPhase::Completed)) {
        let backup = status.and_then(|status| status.backup.as_deref()).unwrap_or_default();
        println!("{name:<20} backup {backup} is made: {message}");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("mai: the backup of {name} failed: {message}");
    Ok(ExitCode::FAILURE)
}
