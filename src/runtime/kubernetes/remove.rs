//! Removes the objects of an instance.

use kube::api::{DeleteParams, Preconditions};
use kube::core::ObjectMeta;
use serde_json::Value;

use super::KubernetesRuntime;
use super::apply::failed;
use super::kind::Kind;
use super::live_object::LiveObject;
use super::observe::deployment_of;
use super::secret::secret_name;
use crate::cluster::{ApiFailure, classify, names};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

impl KubernetesRuntime {
    /// Removes all objects of an instance but its claims and its session key, its jobs first.
    pub(super) async fn remove_all(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.remove_jobs(id).await?;
        let live = self.watches.objects(id);
        if let Some(secret) =
            deployment_of(&live).and_then(|current| secret_name(id, &current.object["spec"]["template"]))
        {
            self.remove_secret(id, secret).await?;
        }
        self.refusals.lock().remove(id);
        self.kept_differences.lock().retain(|(of, ..), _| of != id);
        for object in live.iter().filter(|live| live.kind.is_applied() && live.kind != Kind::PersistentVolumeClaim) {
            self.delete(id, object).await?;
        }
        Ok(())
    }

    /// Removes the claim made for the data of an instance; with `and_backups` that of its backups,
    /// too, and the session key without which neither can be read.
    pub(super) async fn remove_claims(&self, id: &InstanceId, and_backups: bool) -> Result<(), RuntimeError> {
        let data = names::data_claim(id);
        let is_doomed =
            |live: &&LiveObject| live.kind == Kind::PersistentVolumeClaim && (and_backups || live.name() == data);
        for object in self.watches.objects(id).iter().filter(is_doomed) {
            self.delete(id, object).await?;
        }
        if !and_backups {
            return Ok(());
        }
        const ACTION: &str = "removal of the session key";
        let api = self.api(&id.namespace, Kind::Secret);
        let name = names::session_secret(id);
        let found = api.get_metadata_opt(&name).await.map_err(|error| failed(ACTION, id, error))?;
        let label = |secret: &ObjectMeta| secret.labels.as_ref()?.get(names::INSTANCE).cloned();
        let Some(secret) = found.filter(|secret| label(&secret.metadata).as_ref() == Some(&id.name)) else {
            return Ok(());
        };
        let same = Preconditions { uid: secret.metadata.uid, resource_version: None };
        ignore_absent(api.delete(&name, &DeleteParams::default().preconditions(same)).await, ACTION, id)
    }

    /// Removes the Secret that the template `former` uses and `current` does not.
    pub(super) async fn remove_unused_secret(
        &self,
        id: &InstanceId,
        former: &Value,
        current: &Value,
    ) -> Result<(), RuntimeError> {
        match secret_name(id, former) {
            Some(unused) if secret_name(id, current).as_ref() != Some(&unused) => self.remove_secret(id, unused).await,
            _ => Ok(()),
        }
    }

    async fn remove_secret(&self, id: &InstanceId, name: String) -> Result<(), RuntimeError> {
        let deleted = self.api(&id.namespace, Kind::Secret).delete(&name, &DeleteParams::default()).await;
        self.found_secrets.lock().remove(&(id.clone(), name));
        ignore_absent(deleted, "removal of the Secret", id)
    }

    pub(super) async fn delete(&self, id: &InstanceId, object: &LiveObject) -> Result<(), RuntimeError> {
        // Another object may have its name by now.
        let params = DeleteParams::background()
            .preconditions(Preconditions { uid: Some(object.uid().to_owned()), resource_version: None });
        let deleted = self.api(&id.namespace, object.kind).delete(object.name(), &params).await;
        ignore_absent(deleted, "removal", id)
    }
}

/// Takes the deletion of an object that is gone, or whose name another object has by now, for done.
pub(super) fn ignore_absent<T>(
    deleted: Result<T, kube::Error>,
    action: &'static str,
    id: &InstanceId,
) -> Result<(), RuntimeError> {
    match deleted {
        Ok(_) => Ok(()),
        Err(error) => match classify(&error) {
            ApiFailure::NotFound | ApiFailure::NotServed | ApiFailure::Changed => Ok(()),
            _ => Err(failed(action, id, error)),
        },
    }
}
