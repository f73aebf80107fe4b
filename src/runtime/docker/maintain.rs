//! What a person asks of a whole state directory, or of the files of one instance: stopping everything, putting ownership right.

use std::collections::BTreeSet;

use super::cast::Cast;
use super::names::Names;
use super::problem::{engine, said};
use super::{DockerRuntime, labels, owner};
use crate::runtime::docker::Given;
use crate::runtime::{InstanceId, Runtime, RuntimeError};

impl DockerRuntime {
    /// The instances of this state directory of which containers are there.
    pub async fn instances(&self) -> Result<Vec<InstanceId>, RuntimeError> {
        let all = self.hands.cache.containers(&self.hands.docker).await.map_err(|error| RuntimeError::Engine {
            action: "look at the containers",
            instance: "all instances".to_owned(),
            said: said(&error),
        })?;
        let labelled = all.iter().filter_map(|container| container.labels.as_ref());
        let ours = labelled.filter(|labels| labels::read_state(labels) == Some(self.hands.state_id.as_str()));
        Ok(ours.filter_map(labels::read_owner).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Stops and removes the containers of an instance; its volumes, and what makes them its own, stay.
    pub async fn take_down(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.stop(id).await?;
        self.remove(id).await
    }

    /// Gives data and backups of an instance to the user that its server runs as, and tells what that changed.
    pub async fn fix_ownership(&self, id: &InstanceId) -> Result<Vec<Given>, RuntimeError> {
        let hands = &self.hands;
        let all = hands.cache.containers(&hands.docker).await.map_err(engine("look at the containers", id))?;
        let missing = || RuntimeError::Engine {
            action: "look for its container",
            instance: id.to_string(),
            said: "no container carries its labels; `mai compose` makes it".to_owned(),
        };
        let part = Cast::of(id, &Names::of(id)?, &all).active.ok_or_else(missing)?;
        let container = hands.inspect(id, &part).await?.ok_or_else(missing)?;
        owner::give_all(&hands.docker, id, &container, hands.owns_engine_files).await
    }
}
