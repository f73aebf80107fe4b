//! The instance that a verb names: how it is named, and what is known of it.

use std::path::PathBuf;

use anyhow::Context;

use crate::api::MaiInstance;
use crate::cli::shared::runtime::{Choice, RuntimeKind};
use crate::cli::shared::state_dir::Place;
use crate::core::InstanceId;
use crate::runtime::RuntimeError;
use crate::runtime::docker::{DockerOptions, ServingContainer};
use crate::runtime::process::{Places, places_of};
use crate::state::State;

/// Names one instance of a directory.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Named {
    #[command(flatten)]
    pub(in crate::cli) place: Place,

    /// The instance
    pub(in crate::cli) name: String,

    #[command(flatten)]
    choice: Choice,
}

impl Named {
    /// What is known of it.
    pub(in crate::cli) async fn find(&self) -> anyhow::Result<Known> {
        Known::find(self).await
    }

    /// The engine it runs on.
    pub(in crate::cli) fn engine(&self, known: &Known) -> DockerOptions {
        self.choice.docker(&known.state_dir)
    }

    /// The container that serves it.
    pub(in crate::cli) async fn container(&self, known: &Known) -> anyhow::Result<ServingContainer> {
        Ok(ServingContainer::find(&self.engine(known), &known.id).await?)
    }
}

/// An instance that is known to the state of a directory.
#[derive(Debug)]
pub(in crate::cli) struct Known {
    pub(in crate::cli) id: InstanceId,
    pub(in crate::cli) state_dir: PathBuf,
    /// What runs it.
    pub(in crate::cli) runtime: RuntimeKind,
    /// The last good document.
    pub(in crate::cli) instance: MaiInstance,
}

impl Known {
    /// Where it lives when it is run as a process.
    pub(in crate::cli) fn places(&self) -> Result<Places, RuntimeError> {
        let storage = &self.instance.spec.storage;
        places_of(&self.state_dir, &self.id, storage.data.host_path.as_deref(), storage.backups.host_path.as_deref())
    }

    /// `name` is NAME, or NAMESPACE/NAME where two namespaces have one.
    async fn find(named: &Named) -> anyhow::Result<Self> {
        let Named { place, name, choice } = named;
        let state_dir = place.state_dir()?;
        let state = State::open_read_only(&state_dir).await?;
        let documents = state.documents().await?;
        state.close().await;
        let mut found = documents.into_iter().filter(|document| document.released_at.is_none()).filter(|document| {
            document.name == *name || name.split_once('/') == Some((&document.namespace, &document.name))
        });
        let directory = place.directory.display();
        let document = found.next().with_context(|| {
            format!("there is no instance {name} in {directory}; `mai status {directory}` lists them")
        })?;
        if let Some(other) = found.next() {
            anyhow::bail!(
                "{name} is the name of two instances; write {}/{name} or {}/{name}",
                document.namespace,
                other.namespace
            );
        }
        let id = InstanceId { namespace: document.namespace, name: document.name, uid: document.uid };
        let instance = serde_json::from_value(document.document)
            .with_context(|| format!("the document of {id} is not understood by this version of mai"))?;
        Ok(Self { id, runtime: choice.kind(&state_dir), state_dir, instance })
    }
}
