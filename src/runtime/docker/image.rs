//! Images: those of the engine, and pulling the others.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{HealthConfig, ImageInspect};
use bollard::query_parameters::{CreateImageOptions, CreateImageOptionsBuilder};
use futures::StreamExt;
use secrecy::ExposeSecret;

use super::error::{is_missing, message};
use crate::core::{Pull, RegistryLogins, Workload};
use crate::runtime::RuntimeError;

/// Interval between checks of a tag that is followed.
pub(super) const FOLLOW_TAG: Duration = Duration::from_secs(600);

/// An image of the engine, with its settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Image {
    pub(super) id: String,
    /// Digest in its registry, or its id if it came from none.
    pub(super) digest: String,
    pub(super) env: Vec<String>,
    pub(super) labels: HashMap<String, String>,
    pub(super) user: String,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    pub(super) health: Option<HealthConfig>,
}

/// Returns the image that a reference names, if the engine has it.
pub(super) async fn local(docker: &Docker, reference: &str) -> Result<Option<Image>, bollard::errors::Error> {
    match docker.inspect_image(reference).await {
        Ok(image) => Ok(Some(read(image))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(image: ImageInspect) -> Image {
    let config = image.config.unwrap_or_default();
    let id = image.id.unwrap_or_default();
    let registry_digest = image
        .repo_digests
        .iter()
        .flatten()
        .find_map(|digest| digest.split_once('@'))
        .map(|(_, digest)| digest.to_owned());
    Image {
        digest: registry_digest.unwrap_or_else(|| id.clone()),
        id,
        env: config.env.unwrap_or_default(),
        labels: config.labels.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        health: config.healthcheck,
    }
}

/// Pulls the image of a workload as its policy says. With `Always`, a registry that does not answer
/// blocks nothing while the engine has an image of that name.
pub(super) async fn pull(docker: &Docker, workload: &Workload) -> Result<(), RuntimeError> {
    let unavailable = |message: String| RuntimeError::ImageUnavailable {
        instance: workload.id.to_string(),
        image: workload.image.clone(),
        message,
    };
    let existing = local(docker, &workload.image).await.map_err(|error| unavailable(message(&error)))?;
    match (workload.container.pull, existing) {
        (Pull::Never, None) => Err(unavailable("the engine does not have it and imagePullPolicy is Never".to_owned())),
        (Pull::Never | Pull::IfNotPresent, Some(_)) => Ok(()),
        (Pull::IfNotPresent, None) => {
            pull_now(docker, &workload.image, &workload.registries).await.map_err(|error| unavailable(message(&error)))
        }
        (Pull::Always, existing) => match (pull_now(docker, &workload.image, &workload.registries).await, existing) {
            (Err(error), Some(_)) => {
                let why = message(&error);
                tracing::warn!(instance = %workload.id, image = %workload.image, "the image could not be pulled, so the local one is used: {why}");
                Ok(())
            }
            (outcome, _) => outcome.map_err(|error| unavailable(message(&error))),
        },
    }
}

/// Pulls an image with the credentials of its registry.
pub(super) async fn pull_now(
    docker: &Docker,
    reference: &str,
    registries: &RegistryLogins,
) -> Result<(), bollard::errors::Error> {
    let (name, tag) = split(reference);
    let credentials = registries.login_for(reference).map(|login| DockerCredentials {
        username: Some(login.username.clone()),
        password: Some(login.password.expose_secret().to_owned()),
        serveraddress: Some(login.registry.clone()),
        ..DockerCredentials::default()
    });
    let options: CreateImageOptions = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
    let mut progress = docker.create_image(Some(options), None, credentials);
    while let Some(message) = progress.next().await {
        message?;
    }
    Ok(())
}

/// Returns name and tag or digest of a reference. Without a tag, engines pull every tag.
fn split(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name), digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_names_one_image() {
        for (reference, parts) in [
            ("mai", ("mai", "latest")),
            ("mai:1.4.0", ("mai", "1.4.0")),
            ("registry.example.com:5000/mai", ("registry.example.com:5000/mai", "latest")),
            ("registry.example.com:5000/mai:1", ("registry.example.com:5000/mai", "1")),
            ("mai@sha256:ab", ("mai", "sha256:ab")),
            ("r:5000/mai:1@sha256:ab", ("r:5000/mai", "sha256:ab")),
        ] {
            assert_eq!(split(reference), parts, "{reference}");
        }
    }
}
