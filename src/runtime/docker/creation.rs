//! Creates the container of a workload and everything it needs.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder};

use super::containers::ContainerRef;
use super::engine::Engine;
use super::error::{EngineError, classify, failed};
use super::fields::{self, Fields};
use super::labels::Labels;
use super::names::{Names, SHARED_NETWORK};
use super::replacement::CreateRole;
use super::secrets::SecretFile;
use super::spec;
use crate::core::{SecretDelivery, Workload};
use crate::runtime::RuntimeError;

impl Engine {
    /// Creates a container and everything it needs, and returns it; `None` if somebody removed it
    /// at once. Nothing is stopped for it, so anything missing is reported in time.
    pub(super) async fn create(
        &self,
        workload: &Workload,
        names: &Names,
        role: CreateRole,
    ) -> Result<Option<(ContainerRef, ContainerInspectResponse)>, RuntimeError> {
        let id = &workload.id;
        let image =
            self.cache.image(&self.docker, &workload.image).await.map_err(failed("inspection of its image", id))?;
        let image = image.ok_or_else(|| RuntimeError::ImageUnavailable {
            instance: id.to_string(),
            image: workload.image.clone(),
            message: "the engine does not have it".to_owned(),
        })?;
        self.networks.ensure(&self.docker, id, &spec::networks(workload)).await?;
        self.volumes(id, names).ensure_all(workload, names).await?;
        let file = self.write_secrets(workload, names)?;
        let mut body = spec::container(workload, names, Some(&image), file.as_deref());
        let desired = Fields::desired(&body, Some(&image), true);
        let mut labels = Labels {
            id: id.clone(),
            hash: workload.hash.clone(),
            recreate_hash: spec::recreate_hash(&desired),
            state: self.states.own.clone(),
            image_digest: image.digest.clone(),
            tolerated: Default::default(),
            comparison: fields::VERSION.to_owned(),
        };
        spec::label(&mut body, &labels);
        let name = match role {
            CreateRole::Active => &names.active,
            CreateRole::Next => &names.next,
        };
        let Some((mut created, mut container)) = self.create_named(name, workload, body.clone()).await? else {
            return Ok(None);
        };
        // An engine that does not keep a field would be asked to change it without end, so the
        // container is labelled with it.
        let differences = self.differences(workload, names, &container).await?;
        if !differences.is_empty() {
            for change in &differences {
                tracing::warn!(instance = %id, "this engine does not support {change}; the container runs without");
            }
            self.remove(id, names, &created).await?;
            labels.tolerated = differences.into_iter().map(|change| change.field.to_string()).collect();
            spec::label(&mut body, &labels);
            let Some(second) = self.create_named(name, workload, body).await? else { return Ok(None) };
            (created, container) = second;
        }
        self.write_marker(names, &created.id);
        Ok(Some((created, container)))
    }

    async fn create_named(
        &self,
        name: &str,
        workload: &Workload,
        mut body: ContainerCreateBody,
    ) -> Result<Option<(ContainerRef, ContainerInspectResponse)>, RuntimeError> {
        let id = &workload.id;
        // Engines before 25 accept one network at creation.
        if let Some(endpoints) = body.networking_config.as_mut().and_then(|config| config.endpoints_config.as_mut()) {
            endpoints.retain(|name, _| name == SHARED_NETWORK);
        }
        let options: CreateContainerOptions = CreateContainerOptionsBuilder::new().name(name).build();
        let created =
            self.docker.create_container(Some(options), body).await.map_err(|error| match classify(&error) {
                EngineError::Conflict => {
                    RuntimeError::NameTaken { instance: id.to_string(), what: format!("container {name}") }
                }
                _ => failed("creation of the container", id)(error),
            })?;
        let created = ContainerRef { id: created.id, name: name.to_owned(), is_running: false, awaits_restart: false };
        self.note_owner(&created.id, id);
        let mut container = self.inspect(id, &created).await?;
        if let Some(inspected) = &container
            && self.networks.join(&self.docker, id, inspected, &spec::networks(workload), &BTreeSet::new()).await?
        {
            container = self.inspect(id, &created).await?;
        }
        Ok(container.map(|container| (created, container)))
    }

    /// Writes the file with the secret values of a workload that reads one, and returns its path.
    pub(super) fn write_secrets(&self, workload: &Workload, names: &Names) -> Result<Option<PathBuf>, RuntimeError> {
        if workload.container.secrets != SecretDelivery::File {
            return Ok(None);
        }
        let file = SecretFile::new(&self.home(names), &workload.secret_values());
        file.write(self.users_are_mapped).map_err(|source| RuntimeError::NotWritable {
            instance: workload.id.to_string(),
            path: file.path.display().to_string(),
            source,
        })?;
        Ok(Some(file.path))
    }

    /// Records that a container was created here and not by somebody who copied its labels. Without
    /// the record, what the engine shows is compared alone.
    fn write_marker(&self, names: &Names, container: &str) {
        let home = self.home(names);
        if let Err(error) = write_marker_file(&home, container) {
            tracing::debug!("{} cannot be written: {error}", home.display());
        }
    }

    /// Returns whether a container was created here.
    pub(super) fn has_marker(&self, names: &Names, container: &str) -> bool {
        marker(&self.home(names), container).exists()
    }
}

/// Writes the file that records that a container was created here.
pub(super) fn write_marker_file(home: &Path, container: &str) -> io::Result<()> {
    std::fs::create_dir_all(home)?;
    std::fs::write(marker(home, container), "")
}

/// Removes the record of a container. A left-over one is harmless.
pub(super) fn remove_marker(home: &Path, container: &str) {
    let _ = std::fs::remove_file(marker(home, container));
}

/// Returns the path of the file that records that a container was created here.
fn marker(home: &Path, container: &str) -> PathBuf {
    home.join(format!("made-{container}"))
}
