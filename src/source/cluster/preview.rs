//! The objects of a cluster as they are now, without following them: what a plan is made from. It only reads.

use std::sync::Arc;

use parking_lot::Mutex;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::Client;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use secrecy::SecretString;

use super::{ClusterSource, Invalid, Secrets, judge};
use crate::api::{MaiInstance, SecretRef};
use crate::source::{Rotated, SecretError, Source, SourceError};

/// A Secret is read once in a preview.
const ONCE: Duration = Duration::from_secs(3600);

/// One look at the objects of a namespace, or of all.
pub struct Preview {
    /// What is understood.
    pub instances: Vec<Arc<MaiInstance>>,
    /// What is not.
    pub invalid: Vec<Invalid>,
    source: ClusterSource,
}

impl Preview {
    /// Lists the objects of a namespace, or of all.
    pub async fn of(client: Client, namespace: Option<&str>) -> Result<Self, kube::Error> {
        let api: Api<DeserializeGuard<MaiInstance>> = match namespace {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        };
        let (mut instances, mut invalid) = (Vec::new(), Vec::new());
        for DeserializeGuard(guarded) in api.list(&ListParams::default()).await? {
            match guarded {
                Ok(mut instance) => {
                    judge(&mut instance, None);
                    instances.push(Arc::new(instance));
                }
                Err(problem) => invalid.push(Invalid::from(problem)),
            }
        }
        let source =
            ClusterSource { client, secrets: Arc::<Secrets>::default(), secrets_for: ONCE, rotated: Mutex::new(None) };
        Ok(Self { instances, invalid, source })
    }
}

impl Source for Preview {
    async fn secret(&self, namespace: &str, reference: &SecretRef) -> Result<SecretString, SecretError> {
        self.source.secret(namespace, reference).await
    }

    /// It is one look: nothing in it ever changes.
    fn secret_changes(&self) -> BoxStream<'static, Rotated> {
        stream::pending().boxed()
    }

    /// It follows nothing that could be let go.
    async fn remove_finalizer(&self, _namespace: &str, _name: &str) -> Result<(), SourceError> {
        Err(SourceError::Ended)
    }
}
