//! Confirmation of a command that changes the data of an instance: its name, typed.

use std::io::{IsTerminal, Write};

/// Asks for the name of the instance; fails unless it is typed. Where standard input is no terminal,
/// `--yes` stands for it. `question` tells what the command does, `deed` what `--yes` confirms.
pub(in crate::cli) fn confirm(name: &str, question: &str, deed: &str, yes: bool) -> anyhow::Result<()> {
    match is_confirmed(name, question, deed, yes)? {
        true => Ok(()),
        false => anyhow::bail!("that is not the name of the instance; nothing was changed"),
    }
}

/// Asks as [`confirm`] does. Returns false if something else is typed.
pub(in crate::cli) fn is_confirmed(name: &str, question: &str, deed: &str, yes: bool) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        if !yes {
            anyhow::bail!(
                "standard input is not a terminal, so there is no confirmation; pass --yes to {deed}; nothing was changed"
            );
        }
        return Ok(true);
    }
    eprint!("{question} Type the name of the instance to continue: ");
    std::io::stderr().flush()?;
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    Ok(typed.trim() == name)
}
