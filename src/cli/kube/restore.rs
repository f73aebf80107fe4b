//! `kubectl mai restore NAME`: asks that the data of an instance is brought back from a backup, and
//! follows the steps. The request is a `MaiRestore`, so whoever may create one needs no other
//! permission.

use std::process::ExitCode;

use jiff::Timestamp;
use kube::api::DynamicObject;
use mai_contract::job::BACKUPS_VOLUME;

use super::Cluster;
use super::request::{Request, WaitArgs, request};
use crate::api::{MaiRestore, MaiRestoreSpec, MaiRestoreStatus, RequestPhase, RestoreSource, SecretRef};
use crate::cli::shared::confirmation::confirm;
use crate::cli::shared::wanted_backup::parse_time;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The instance
    name: String,

    /// The backup, by its id [default: the newest verified one]
    #[arg(long, value_name = "ID", conflicts_with_all = ["time", "file"])]
    backup: Option<String>,

    /// The newest backup that was taken at this time or before
    #[arg(long, value_name = "TIME", conflicts_with = "file")]
    time: Option<String>,

    /// A file of the destination: an archive of mai, or a data directory packed with tar
    #[arg(long, value_name = "PATH")]
    file: Option<String>,

    /// Destination to take it from; `backups` is the backups volume
    #[arg(long, value_name = "NAME", default_value = BACKUPS_VOLUME)]
    destination: String,

    /// Another instance of the namespace whose backup it is
    #[arg(long, value_name = "NAME")]
    from_instance: Option<String>,

    /// Secret and key with the identity (secret key of age) that opens it [default: the one that the
    /// document names]
    #[arg(long, value_name = "SECRET/KEY", value_parser = parse_secret_ref)]
    identity: Option<SecretRef>,

    /// Reason, for people
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Do not ask for the name to be typed; counts only where standard input is no terminal
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    wait: WaitArgs,
}

impl Request for MaiRestore {
    const WORK: &'static str = "restore";

    fn is_answered(&self) -> bool {
        self.status.as_ref().is_some_and(MaiRestoreStatus::is_answered)
    }

    fn message(&self) -> Option<&str> {
        self.status.as_ref()?.message.as_deref()
    }
}

pub(super) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let name = &args.name;
    let instance = cluster.instance(name).await?;
    let from = RestoreSource {
        destination: args.destination.clone(),
        instance: args.from_instance.clone(),
        backup: args.backup.clone(),
        time: args.time.as_deref().map(|text| parse(text, &instance)).transpose()?,
        file: args.file.clone(),
        identity_secret_ref: args.identity.clone(),
    };
    let question = format!("This stops {name} and replaces all of its data by that of the backup.");
    confirm(name, &question, &format!("replace the data of {name}"), args.yes)?;
    let wanted = MaiRestore::new("", MaiRestoreSpec { instance: name.clone(), from, reason: args.reason.clone() });
    let Some(answered) = request(cluster, name, wanted, &args.wait).await? else { return Ok(ExitCode::SUCCESS) };
    let message = answered.message().unwrap_or_default();
    if answered.status.as_ref().is_some_and(|status| status.phase == Some(RequestPhase::Completed)) {
        println!("{name:<20} {message}");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("mai: the data of {name} was not restored: {message}");
    Ok(ExitCode::FAILURE)
}

/// Parses a time; one without an offset is in the time zone of the instance's backups.
fn parse(text: &str, instance: &DynamicObject) -> anyhow::Result<Timestamp> {
    parse_time(text, instance.data["spec"]["backup"]["timeZone"].as_str().unwrap_or("UTC"))
}

fn parse_secret_ref(text: &str) -> Result<SecretRef, String> {
    match text.split_once('/') {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => {
            Ok(SecretRef { name: name.to_owned(), key: Some(key.to_owned()) })
        }
        _ => Err("write the name of a Secret and a key in it, such as backup-identity/identity".to_owned()),
    }
}
