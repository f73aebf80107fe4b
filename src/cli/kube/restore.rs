//! `kubectl mai restore`: refused, with the way that there is.

/// Whatever the verb of a directory takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _arguments: Vec<String>,
}

pub(super) fn run(_: &Args) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!(
        "the claim of an instance in a cluster cannot be exchanged from here; restore it with kubectl as docs/restore-by-hand.md says, steps 1, 2 and 5; nothing was changed"
    )
}
