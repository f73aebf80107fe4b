//! The runtime of a directory: chosen by an argument, else the one that `mai compose` last ran it
//! with. Only this file knows which runtimes there are.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::ValueEnum;

use crate::core::Platform;
use crate::runtime::docker::{DockerManual, DockerOptions, DockerRuntime};
use crate::runtime::process::{ProcessManual, ProcessObserver, ProcessOptions, ProcessRuntime};
use crate::runtime::{BoxedObserver, BoxedRuntime, Manual};

/// File in the state directory that names the runtime.
const FILE: &str = "runtime";

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct RuntimeChoice {
    /// Runtime of the instances [default: the last one of `mai compose`]
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
    /// Containers of a Docker Engine or of Podman; they keep running when this program ends
    Docker,
}

/// A runtime for `mai compose`.
pub(in crate::cli) struct OpenedRuntime {
    pub(in crate::cli) runtime: BoxedRuntime,
    /// Servers keep running when this program ends.
    pub(in crate::cli) outlives_program: bool,
}

impl RuntimeChoice {
    /// Returns the commands of an administrator on the chosen runtime.
    pub(in crate::cli) fn manual(&self, state_dir: &Path) -> Box<dyn Manual> {
        self.kind(state_dir).manual(state_dir, self.docker_host.as_deref())
    }

    /// Returns the runtime of a state directory that is about to be filled, and an administrator's
    /// commands on it: the one that was chosen, or else `former`.
    pub(in crate::cli) fn manual_for_new(
        &self,
        state_dir: &Path,
        former: Option<&str>,
    ) -> (RuntimeKind, Box<dyn Manual>) {
        let former = || former.and_then(|name| RuntimeKind::from_str(name, false).ok());
        let kind = self.runtime.or_else(former).unwrap_or_else(|| RuntimeKind::recorded(state_dir));
        (kind, kind.manual(state_dir, self.docker_host.as_deref()))
    }

    /// Opens the chosen runtime for reading alone. The state directory need not exist.
    pub(in crate::cli) async fn observer(&self, state_dir: &Path) -> anyhow::Result<BoxedObserver> {
        Ok(match self.kind(state_dir) {
            RuntimeKind::Process => {
                // Servers carry the path without symbolic links.
                let state_dir = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
                BoxedObserver::new(ProcessObserver::new(state_dir))
            }
            RuntimeKind::Docker => {
                let options = docker_options(state_dir, self.docker_host.as_deref());
                BoxedObserver::new(DockerRuntime::open_read_only(options).await?)
            }
        })
    }

    fn kind(&self, state_dir: &Path) -> RuntimeKind {
        self.runtime.unwrap_or_else(|| RuntimeKind::recorded(state_dir))
    }
}

impl RuntimeKind {
    /// Opens the runtime for the reconciler.
    pub(in crate::cli) async fn open(
        self,
        state_dir: PathBuf,
        docker_host: Option<&str>,
        detach: bool,
    ) -> anyhow::Result<OpenedRuntime> {
        Ok(match self {
            Self::Process => {
                let options = ProcessOptions { detach, ..ProcessOptions::new(state_dir)? };
                let runtime = BoxedRuntime::new(ProcessRuntime::open(options)?);
                OpenedRuntime { runtime, outlives_program: detach }
            }
            Self::Docker => {
                let options = docker_options(&state_dir, docker_host);
                let runtime = BoxedRuntime::new(DockerRuntime::open(options).await?);
                OpenedRuntime { runtime, outlives_program: true }
            }
        })
    }

    /// Returns the image for backups of instances whose own holds no mai, if the runtime uses one.
    pub(in crate::cli) fn helper_image(self, declared: Option<&str>) -> anyhow::Result<Option<String>> {
        match (self, declared.filter(|image| !image.is_empty())) {
            (Self::Docker, image) => Ok(image.map(str::to_owned)),
            (Self::Process, None) => Ok(None),
            (Self::Process, Some(image)) => anyhow::bail!(
                "the process runtime uses no images, so --helper-image {image} (or MAI_HELPER_IMAGE) has no effect; remove it, or use --runtime docker"
            ),
        }
    }

    /// Returns the commands of an administrator on this runtime.
    pub(in crate::cli) fn manual(self, state_dir: &Path, docker_host: Option<&str>) -> Box<dyn Manual> {
        match self {
            Self::Process => Box::new(ProcessManual::new(state_dir)),
            Self::Docker => Box::new(DockerManual::new(docker_options(state_dir, docker_host))),
        }
    }

    /// Returns the runtime that the state directory was last used with.
    pub(in crate::cli) fn recorded(state_dir: &Path) -> Self {
        match std::fs::read_to_string(state_dir.join(FILE)).unwrap_or_default().trim() {
            "docker" => Self::Docker,
            _ => Self::Process,
        }
    }

    /// Returns the properties of its platform.
    pub(in crate::cli) fn platform(self) -> Platform {
        match self {
            Self::Process => Platform::PROCESS,
            Self::Docker => Platform::DOCKER,
        }
    }

    /// Returns its name on the command line.
    pub(in crate::cli) fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
        }
    }

    /// Records the runtime for other verbs.
    pub(in crate::cli) fn record(self, state_dir: &Path) -> anyhow::Result<()> {
        std::fs::write(state_dir.join(FILE), format!("{}\n", self.name()))
            .with_context(|| format!("the state directory {} could not be written", state_dir.display()))
    }
}

/// Returns the options of the Docker runtime for a state directory.
pub(in crate::cli) fn docker_options(state_dir: &Path, host: Option<&str>) -> DockerOptions {
    DockerOptions { state_dir: state_dir.to_owned(), host: host.map(str::to_owned) }
}
