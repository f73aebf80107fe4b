//! Which runtime a verb speaks of: what is named, else what `mai compose` last ran the directory with.

use std::path::Path;

use anyhow::Context;

use crate::api::PlatformKind;
use crate::runtime::docker::DockerOptions;

/// Kept in the state directory.
const FILE: &str = "runtime";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Choice {
    /// What runs the instances [default: what `mai compose` last ran them with]
    #[arg(long, value_enum, value_name = "RUNTIME")]
    runtime: Option<RuntimeKind>,

    /// The engine of the Docker runtime [default: /var/run/docker.sock, or Podman's socket]
    #[arg(long, env = "DOCKER_HOST", value_name = "unix://SOCKET")]
    docker_host: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum RuntimeKind {
    /// Child processes of this program: no Docker, no cluster
    Process,
    /// Containers of a Docker Engine or of Podman; they go on when this program ends
    Docker,
}

impl Choice {
    pub(in crate::cli) fn kind(&self, state_dir: &Path) -> RuntimeKind {
        self.runtime.unwrap_or_else(|| RuntimeKind::remembered(state_dir))
    }

    pub(in crate::cli) fn docker(&self, state_dir: &Path) -> DockerOptions {
        DockerOptions { state_dir: state_dir.to_owned(), host: self.docker_host.clone() }
    }
}

impl RuntimeKind {
    /// Returns the platform whose fields take effect.
    pub(in crate::cli) fn platform(self) -> PlatformKind {
        match self {
            Self::Process => PlatformKind::Process,
            Self::Docker => PlatformKind::Docker,
        }
    }

    /// What the state directory was last used with.
    pub(in crate::cli) fn remembered(state_dir: &Path) -> Self {
        match std::fs::read_to_string(state_dir.join(FILE)).unwrap_or_default().trim() {
            "docker" => Self::Docker,
            _ => Self::Process,
        }
    }

    /// Writes it down for the other verbs.
    pub(in crate::cli) fn remember(self, state_dir: &Path) -> anyhow::Result<()> {
        let name = match self {
            Self::Process => "process\n",
            Self::Docker => "docker\n",
        };
        std::fs::write(state_dir.join(FILE), name)
            .with_context(|| format!("the state directory {} cannot be written", state_dir.display()))
    }
}
