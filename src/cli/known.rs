//! Finds the instance that a verb names among those that are known.

use std::path::PathBuf;

use anyhow::Context;

use super::state_dir::Place;
use crate::api::MaiInstance;
use crate::runtime::InstanceId;
use crate::state::State;

/// An instance that is known to the state of a directory.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: InstanceId,
    pub(super) state_dir: PathBuf,
    /// The last good document.
    pub(super) instance: MaiInstance,
}

impl Known {
    /// `name` is NAME, or NAMESPACE/NAME where two namespaces have one.
    pub(super) async fn find(place: &Place, name: &str) -> anyhow::Result<Self> {
        let state_dir = place.state_dir()?;
        let state = State::open_read_only(&state_dir).await?;
        let documents = state.documents().await?;
        state.close().await;
        let mut found = documents.into_iter().filter(|document| document.released_at.is_none()).filter(|document| {
            document.name == name || name.split_once('/') == Some((&document.namespace, &document.name))
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
        Ok(Self { id, state_dir, instance })
    }
}
