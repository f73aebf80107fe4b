//! `mai reset DIR NAME`: makes a verified backup of the data of an instance, and then wipes its
//! configuration or everything.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use crate::api::ServerKind;
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::confirmation::confirm;
use crate::cli::shared::named_instance::{InstanceArgs, NamedInstance};
use crate::cli::shared::safety_backup::{back_up, print_remarks, require_apart};
use crate::cli::shared::stopped_server::StoppedServer;
use crate::runtime::Directories;
use crate::server::OfflineData;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["configuration", "everything"])))]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// Remove what the administrator set in the pages, the upstream connection among it; people,
    /// chats and usage stay
    #[arg(long)]
    configuration: bool,

    /// Remove all data: the instance begins anew, and the first to register becomes administrator
    #[arg(long)]
    everything: bool,

    /// Do not ask for the name to be typed; counts only where standard input is no terminal
    #[arg(long)]
    yes: bool,

    /// Longest wait until it answers again
    #[arg(long, default_value = "60s", value_parser = crate::api::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

impl Args {
    fn what(&self) -> &'static str {
        if self.everything { "everything" } else { "configuration" }
    }
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(reset(args))
}

async fn reset(args: &Args) -> anyhow::Result<ExitCode> {
    let instance = args.instance.find().await?;
    let kind = instance.document.spec.server.kind;
    if args.configuration && kind != ServerKind::Mai {
        anyhow::bail!(
            "what is configuration in the data of {} only its own program ({kind:?}) knows; use its pages",
            instance.id()
        );
    }
    let name = &instance.id().name;
    let what = if args.everything { "all data of" } else { "the configuration of" };
    let question = format!("This stops {name}, backs up its data, and wipes {what} {name}.");
    confirm(name, &question, &format!("wipe the {} of {name}", args.what()), args.yes)?;
    let stopped = StoppedServer::stop(&instance, "mai reset").await?;
    let outcome = wipe(args, &instance, &stopped).await;
    let back = stopped.start_again(args.timeout).await;
    outcome?;
    match back? {
        Some(time) => println!("{name:<20} answers again after {:.1} s", time.as_secs_f32()),
        None => println!("{name:<20} did not run before and is left to `mai compose`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes and verifies a backup of the data, and only then wipes.
async fn wipe(args: &Args, instance: &NamedInstance, stopped: &StoppedServer<'_>) -> anyhow::Result<()> {
    let (id, name) = (instance.id(), &instance.id().name);
    let nothing = || format!("nothing of {id} was wiped");
    let data = OfflineData::lock(&stopped.directories.data).with_context(nothing)?;
    let Directories { data: directory, backups } = &stopped.directories;
    if args.everything {
        require_apart(directory, backups).with_context(nothing)?;
    }
    let reason = format!("before mai reset --{}", args.what());
    let report = back_up(instance, directory, backups, reason).await.with_context(nothing)?;
    print_remarks(name, &report);
    let backup = report.id;
    println!("{name:<20} backed up as {backup} and checked ({} files)", report.files);
    if args.everything {
        data.clear().with_context(|| {
            let directory = directory.display();
            format!("{directory} could only be wiped in part; all of it is in backup {backup}")
        })?;
        println!("{name:<20} wiped: it begins anew");
    } else {
        let settings = data.clear_settings().await?;
        println!("{name:<20} settings wiped: {settings}; people, chats and usage stay");
    }
    Ok(())
}
