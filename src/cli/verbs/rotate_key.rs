//! `mai rotate-key DIR NAME`: asks the reconciler for another key of one instance at its upstream, and
//! waits until the server has it. The former key works for its grace period and is deleted later.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use mai_contract::job::BackupId;
use tokio::time::{Instant, sleep};

use crate::api::MaiInstanceStatus;
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::key_rotation::{Rotation, hash_before, progress};
use crate::cli::shared::named_instance::InstanceArgs;
use crate::runtime::KeyRotationFile;
use crate::state::State;

/// Interval between checks.
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// Longest wait until the server has the new key
    #[arg(long, default_value = "2m", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(rotate(args))
}

async fn rotate(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    let (id, directory) = (instance.id(), args.instance.place.directory.display());
    if !instance.target.is_reconciled {
        anyhow::bail!(
            "no reconciler runs that would make a key for {id}; run `mai compose {directory}`, and ask again"
        );
    }
    let before = hash_before(&id.name, status(args, &id.uid).await?.as_ref())?;
    let home = instance.manual.home(id)?;
    let name = BackupId::new(Timestamp::now(), rand::random()).to_string();
    KeyRotationFile::new(&home)
        .ask(id, &name)
        .with_context(|| format!("the request could not be written to {}", home.display()))?;
    let deadline = Instant::now() + args.timeout;
    let mut cause = String::from("the reconciler has not answered");
    while Instant::now() < deadline {
        match status(args, &id.uid).await?.map(|status| progress(&before, &status)) {
            Some(Rotation::Done(hash)) => {
                println!("{:<20} has a new key (hash {hash}); the former one works for its grace period", id.name);
                return Ok(ExitCode::SUCCESS);
            }
            Some(Rotation::HeldUp(message)) => cause = message,
            Some(Rotation::UnderWay) | None => {}
        }
        sleep(AGAIN).await;
    }
    anyhow::bail!("the server of {id} has no new key yet, and it is tried again: {cause}")
}

async fn status(args: &Args, uid: &str) -> anyhow::Result<Option<MaiInstanceStatus>> {
    let state = State::open_read_only(&args.instance.place.state_dir()?).await?;
    let status = state.status(uid).await?;
    state.close().await;
    Ok(status)
}
