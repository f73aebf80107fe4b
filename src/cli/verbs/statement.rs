//! `mai statement DIR NAME MONTH`: prints the statement of a closed month, with cost and margin.

use std::process::ExitCode;

use anyhow::Context;
use secrecy::SecretString;

use super::exec::run_remote;
use crate::cli::shared::block_on::block_on;
use crate::cli::shared::named_instance::{InstanceArgs, NamedInstance};
use crate::cli::shared::statement::{Format, fetch};
use crate::core::Platform;
use crate::runtime::{Exec, ExecCommand};
use crate::source::directory::Preview;
use crate::source::{Reader, Source};
use crate::state::State;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    instance: InstanceArgs,

    /// The month, such as 2026-11
    month: String,

    /// Format of the statement
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    output: Format,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let instance = args.instance.find().await?;
        let id = instance.id();
        anyhow::ensure!(
            instance.manual.is_running(id).await?,
            "{id} is stopped, and its statements are in its data; start it, such as with `suspend: false`"
        );
        // A container may have no address outside of its network, so it is asked from its inside.
        let command = ExecCommand {
            program: "mai".to_owned(),
            arguments: ["server-statement", &args.month, "--output", args.output.name()].map(str::to_owned).into(),
            stdin: false,
            terminal: false,
        };
        match instance.manual.exec(&instance.target, &command).await? {
            Exec::Remote(remote) => run_remote(remote, false).await,
            Exec::Local(_) => {
                let listen =
                    instance.target.listen.with_context(|| format!("the document of {id} declares no port"))?;
                let key = session_key(&instance, args).await?;
                print!("{}", fetch(listen, &key, &args.month, args.output).await.with_context(|| id.to_string())?);
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

/// Returns the key that the token of the reconciler is derived from.
async fn session_key(instance: &NamedInstance, args: &Args) -> anyhow::Result<SecretString> {
    let (id, place) = (instance.id(), &args.instance.place);
    if let Some(reference) = &instance.document.spec.server.secret_key_ref {
        let preview = Preview::read(&place.directory, Vec::new(), Platform::PROCESS.kind, &place.policy()?).await;
        let preview = preview.context("the Secrets could not be read")?;
        return Ok(preview.secret(&Reader::from(&instance.document), reference).await?);
    }
    let state = State::open_read_only(&place.state_dir()?).await?;
    let known = state.known_instance(&id.namespace, &id.name).await?;
    state.close().await;
    known.and_then(|known| known.session_key).with_context(|| format!("{id} has no session key: it was never started"))
}
