//! The objects of a cluster as they are now, for a plan. It only reads, and does not watch.

use std::sync::Arc;

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::Client;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use parking_lot::Mutex;
use secrecy::SecretString;

use super::ClusterSource;
use super::secrets::SecretsCache;
use super::validation::{Invalid, validate};
use crate::api::{MaiInstance, SecretRef};
use crate::source::{Rotated, SecretError, Source, SourceError};

/// Longer than a preview lasts: each Secret is read once.
const SECRETS_TTL: Duration = Duration::from_secs(3600);

/// The objects of a namespace, or of all, at one time.
pub struct Preview {
    /// Objects that match the schema.
    pub instances: Vec<Arc<MaiInstance>>,
    /// Objects that do not.
    pub invalid: Vec<Invalid>,
    source: ClusterSource,
}

impl Preview {
    /// Lists the objects of a namespace, or of all.
    pub async fn list(client: Client, namespace: Option<&str>) -> Result<Self, kube::Error> {
        let api: Api<DeserializeGuard<MaiInstance>> = match namespace {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        };
        let (mut instances, mut invalid) = (Vec::new(), Vec::new());
        for DeserializeGuard(guarded) in api.list(&ListParams::default()).await? {
            match guarded {
                Ok(mut instance) => {
                    validate(&mut instance, None);
                    instances.push(Arc::new(instance));
                }
                Err(problem) => invalid.push(Invalid::from(problem)),
            }
        }
        let source =
            ClusterSource { client, secrets: Arc::new(SecretsCache::new(SECRETS_TTL)), rotated: Mutex::new(None) };
        Ok(Self { instances, invalid, source })
    }
}

impl Source for Preview {
    async fn secret(&self, namespace: &str, reference: &SecretRef) -> Result<SecretString, SecretError> {
        self.source.secret(namespace, reference).await
    }

    /// A preview never changes.
    fn secret_changes(&self) -> BoxStream<'static, Rotated> {
        stream::pending().boxed()
    }

    /// A preview writes nothing.
    async fn remove_finalizer(&self, _namespace: &str, _name: &str) -> Result<(), SourceError> {
        Err(SourceError::Ended)
    }
}
