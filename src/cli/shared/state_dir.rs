//! State directory of a directory of documents: the same for every verb, and never inside the
//! directory.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::policy::PolicyArgs;
use crate::source::policy::PolicyFile;

/// Names a directory of documents and the place of its state.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Place {
    /// Directory that holds the MaiInstance documents
    pub directory: PathBuf,

    /// Where databases, logs and the state of the instances are kept [default: a folder of its own
    /// under /var/lib/mai for root, under $XDG_STATE_HOME/mai or ~/.local/state/mai for others]
    #[arg(long, env = "MAI_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,

    #[command(flatten)]
    policy: PolicyArgs,
}

impl Place {
    /// Returns the file of the provider's policy.
    pub fn policy(&self) -> anyhow::Result<PolicyFile> {
        Ok(self.policy.file(Some(self.state_dir()?)))
    }

    /// The state directory, absolute.
    pub fn state_dir(&self) -> anyhow::Result<PathBuf> {
        let chosen = match &self.state_dir {
            Some(chosen) => chosen.clone(),
            // The path as it was given, made absolute: a symlink that is re-pointed by a deployment
            // stays the same place.
            None => root()?.join(folder(&std::path::absolute(&self.directory)?)),
        };
        Ok(std::path::absolute(chosen)?)
    }
}

fn root() -> anyhow::Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/mai"));
    }
    let of = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    of("XDG_STATE_HOME")
        .or_else(|| of("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("mai"))
        .ok_or_else(|| anyhow::anyhow!("neither XDG_STATE_HOME nor HOME is set; name a place with --state-dir"))
}

/// Its own name, readable, and a hash of the whole path, so that two directories of one name stay
/// apart.
fn folder(directory: &Path) -> String {
    let clean: PathBuf = directory.components().collect();
    let name = clean.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_else(|| "root".to_owned());
    let digest = Sha256::digest(clean.as_os_str().as_encoded_bytes());
    format!("{name}-{}", hex::encode(&digest[..4]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_directory_has_one_state_for_every_spelling() {
        assert_eq!(folder(Path::new("/srv/clients")), folder(Path::new("/srv/clients/")));
        assert_eq!(folder(Path::new("/srv/clients")), folder(Path::new("/srv/./clients")));
        assert_ne!(folder(Path::new("/srv/clients")), folder(Path::new("/opt/clients")));
        assert!(folder(Path::new("/srv/clients")).starts_with("clients-"));
    }
}
