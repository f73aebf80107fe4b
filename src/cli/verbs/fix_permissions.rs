//! `mai fix-permissions DIR NAME`: gives data and backups of an instance to the user that its
//! server runs as.

use std::process::ExitCode;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::InstanceArgs;
use mai_ownership::{EntryCount, OwnershipChange};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let instance = args.instance.find().await?;
        for change in instance.manual.fix_ownership(&instance.target).await? {
            println!("{:<20} {}", instance.id().name, line(&change));
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn line(OwnershipChange { place, owner: (user, group), count }: &OwnershipChange) -> String {
    match count {
        Some(EntryCount { changed: 0, total }) => {
            format!("{place}: nothing to do, all {total} entries belong to {user}:{group}")
        }
        Some(EntryCount { changed, total }) => format!("{place}: {changed} of {total} entries given to {user}:{group}"),
        None => format!(
            "{place}: belongs to {user}:{group}; what is in it can only be reached by root on the server of the engine"
        ),
    }
}
