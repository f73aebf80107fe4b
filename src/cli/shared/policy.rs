//! The provider's policy, as verbs that read documents get it.

use std::path::PathBuf;

use crate::source::policy::PolicyFile;

/// Names the file of the policy.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct PolicyArgs {
    /// The provider's policy, which bounds what documents reach [default: /etc/mai/policy.yaml if
    /// that exists]
    #[arg(long, env = "MAI_POLICY", value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl PolicyArgs {
    /// Returns the file. `state_dir` is that of the instances, where there is one.
    pub fn file(&self, state_dir: Option<PathBuf>) -> PolicyFile {
        PolicyFile::new(self.policy.clone().filter(|path| !path.as_os_str().is_empty()), state_dir)
    }

    /// Returns whether a file was named.
    pub fn is_named(&self) -> bool {
        self.policy.is_some()
    }
}
