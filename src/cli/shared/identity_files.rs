//! Identities of age in files that a command line names.

use std::path::PathBuf;

use anyhow::Context;
use mai_backup::encryption::Identity;

/// Returns the keys of all files; None where none is named.
pub(in crate::cli) fn read_identities(paths: &[PathBuf]) -> anyhow::Result<Option<Identity>> {
    let mut all: Option<Identity> = None;
    for path in paths {
        let name = || format!("--identity {}", path.display());
        let text = std::fs::read_to_string(path).with_context(name)?;
        let identity = Identity::parse(&text).with_context(name)?;
        all = Some(match all {
            Some(all) => all.join(identity),
            None => identity,
        });
    }
    Ok(all)
}
