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
use super::validation::{Invalid, repeat_refusal, validate};
use crate::api::{MaiInstance, SecretRef};
use crate::source::policy::Policy;
use crate::source::{Reader, Rotated, SecretError, Source, SourceError};

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
    /// Lists the objects of a namespace, or of all. Without a policy, what the operator refused by
    /// its own is refused.
    pub async fn list(client: Client, namespace: Option<&str>, policy: Option<Policy>) -> Result<Self, kube::Error> {
        let api: Api<DeserializeGuard<MaiInstance>> = match namespace {
            None => Api::all(client.clone()),
            Some(namespace) => Api::namespaced(client.clone(), namespace),
        };
        let (mut instances, mut invalid) = (Vec::new(), Vec::new());
        let unrestricted = Policy::unrestricted();
        let known = policy.as_ref().unwrap_or(&unrestricted);
        for DeserializeGuard(guarded) in api.list(&ListParams::default()).await? {
            match guarded {
                Ok(mut instance) => {
                    validate(&mut instance, None, known);
                    if policy.is_none() {
                        repeat_refusal(&mut instance);
                    }
                    instances.push(Arc::new(instance));
                }
                Err(problem) => invalid.push(Invalid::from(problem)),
            }
        }
        let secrets = Arc::new(SecretsCache::new(SECRETS_TTL));
        let policy = Arc::new(policy.unwrap_or(unrestricted));
        let source = ClusterSource { client, secrets, policy, rotated: Mutex::new(None) };
        Ok(Self { instances, invalid, source })
    }
}

impl Source for Preview {
    async fn secret(&self, reader: &Reader<'_>, reference: &SecretRef) -> Result<SecretString, SecretError> {
        self.source.secret(reader, reference).await
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
