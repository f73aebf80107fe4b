//! `mai recovery-kit DIR`: prints the page that is needed when the server is gone, or confirms that
//! somebody has it.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;

use crate::cli::shared::block_on::block_on;
use crate::cli::shared::identity_files::read_identities;
use crate::cli::shared::recovery_kit::kit_of;
use crate::cli::shared::runtime::RuntimeKind;
use crate::cli::shared::state_dir::Place;
use crate::state::State;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    place: Place,

    /// Confirm that the printed page and the secret keys are kept elsewhere, so that it is not asked
    /// for any more
    #[arg(long)]
    confirm: bool,

    /// File with an identity (secret key of age), to prove that it opens the backups; it is not
    /// stored; may be repeated
    #[arg(long = "identity", value_name = "FILE", requires = "confirm")]
    identities: Vec<PathBuf>,
}

pub(in crate::cli) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    block_on(async {
        let state_dir = args.place.state_dir()?;
        let state = State::open_read_only(&state_dir).await?;
        let kit = kit_of(&state, &state_dir).await;
        state.close().await;
        let kit = kit?;
        anyhow::ensure!(
            !kit.is_empty(),
            "no backup leaves this machine, so nothing could come back; declare spec.backup.destinations, and back up the server itself with mai compose --recovery-to"
        );
        let documents = std::path::absolute(&args.place.directory)?;
        if !args.confirm {
            print!("{}", kit.page(&documents, RuntimeKind::recorded(&state_dir).name(), Timestamp::now()));
            if !kit.is_confirmed(&state_dir)? {
                eprintln!("mai: print this page, keep it elsewhere, and confirm that with --confirm --identity FILE");
            }
            return Ok(ExitCode::SUCCESS);
        }
        let sealed = kit.sealed(read_identities(&args.identities)?.as_ref());
        anyhow::ensure!(
            sealed.is_empty(),
            "{}; prove that a secret key of each is kept with --identity FILE; nothing was confirmed",
            sealed.join("; ")
        );
        kit.confirm(&state_dir)?;
        println!("confirmed; it is asked for again when a destination or a key changes");
        Ok(ExitCode::SUCCESS)
    })
}
