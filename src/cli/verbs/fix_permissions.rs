//! `mai fix-permissions DIR NAME`: gives data and backups of an instance to the user that its server runs as.

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::Named;
use crate::cli::shared::runtime::RuntimeKind;
use crate::ownership::{Given, Tally};
use crate::runtime::docker::DockerRuntime;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    named: Named,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let known = block_on(args.named.find())?;
    let given = match known.runtime {
        RuntimeKind::Docker => block_on(async {
            let docker = DockerRuntime::open(args.named.engine(&known)).await?;
            Ok(docker.fix_ownership(&known.id).await?)
        })?,
        RuntimeKind::Process => known.places()?.fix_ownership(&known.state_dir).with_context(|| {
            format!("the files of {} could not all be given to whoever runs its server; run this as root", known.id)
        })?,
    };
    given.iter().for_each(|given| tell(&known.id.name, given));
    Ok(ExitCode::SUCCESS)
}

fn tell(name: &str, Given { place, owner: (user, group), tally }: &Given) {
    match tally {
        Some(Tally { changed: 0, looked_at }) => {
            println!("{name:<20} {place}: nothing to do, all {looked_at} entries belong to {user}:{group}");
        }
        Some(Tally { changed, looked_at }) => {
            println!("{name:<20} {place}: {changed} of {looked_at} entries given to {user}:{group}");
        }
        None => println!(
            "{name:<20} {place}: belongs to {user}:{group}; what is in it can only be reached by root on the server of the engine"
        ),
    }
}
