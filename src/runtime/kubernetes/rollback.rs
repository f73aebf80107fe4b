//! The end of a replacement: the retained pod template is released or restored.

use serde_json::{Value, json};

use super::KubernetesRuntime;
use super::apply::failed;
use super::compare::merge;
use super::kind::Kind;
use super::observe::deployment_of;
use super::retained_template::RetainedTemplate;
use crate::cluster::names;
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

impl KubernetesRuntime {
    /// Releases the retained template, and removes the Secret that only it uses.
    pub(super) async fn release_retained(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let live = self.watches.objects(id);
        let Some(current) = deployment_of(&live) else { return Ok(()) };
        let Some(retained) = RetainedTemplate::from_deployment(current) else { return Ok(()) };
        let template = self.replica_set_template(id, &retained.replica_set).await?;
        self.patch_deployment(id, "release of the former template", &RetainedTemplate::removal_patch()).await?;
        match template {
            Some(template) => self.remove_unused_secret(id, &template, &current.object["spec"]["template"]).await,
            None => Ok(()),
        }
    }

    /// Restores the retained template as a whole.
    pub(super) async fn restore_retained(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        const ACTION: &str = "rollback";
        let live = self.watches.objects(id);
        let Some(retained) = deployment_of(&live).and_then(RetainedTemplate::from_deployment) else {
            return Ok(());
        };
        let Some(template) = self.replica_set_template(id, &retained.replica_set).await? else {
            // Nothing is left to restore: the declared template stays and its state is reported.
            return self.patch_deployment(id, ACTION, &RetainedTemplate::removal_patch()).await;
        };
        let current = self.api(&id.namespace, Kind::Deployment).get(&names::object_name(id)).await;
        let current = current.map_err(|error| failed(ACTION, id, error))?;
        // One patch, so that a crash cannot come between the change and the labels.
        let mut patch = RetainedTemplate::removal_patch();
        patch["metadata"]["resourceVersion"] = json!(current.metadata.resource_version);
        patch["spec"]["template"] = merge(&current.data["spec"]["template"], &template);
        self.patch_deployment(id, ACTION, &patch).await?;
        self.remove_unused_secret(id, &current.data["spec"]["template"], &template).await
    }

    /// Returns the pod template of a ReplicaSet.
    async fn replica_set_template(&self, id: &InstanceId, replica_set: &str) -> Result<Option<Value>, RuntimeError> {
        let found = self.api(&id.namespace, Kind::ReplicaSet).get_opt(replica_set).await;
        let found = found.map_err(|error| failed("look-up of the former template", id, error))?;
        Ok(found.map(|mut found| {
            let mut template = found.data["spec"]["template"].take();
            if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
                labels.remove("pod-template-hash");
            }
            template
        }))
    }
}
