//! The steps on a cluster. Each can be repeated, and goes on from what it finds.

use std::time::Instant;

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, GetParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::ObjectMeta;
use serde_json::{Value, json};

use super::claim::{Refusal, covers, size};
use super::compare::{differences, merge};
use super::deployment::deployment;
use super::kind::Kind;
use super::live::Live;
use super::observe::{deployment_of, in_place, is_available, orphans};
use super::replaced::Replaced;
use super::secret::{Values, secret_of};
use super::{KubernetesRuntime, Notice};
use crate::cluster::{error_message, is_refusal, names};
use crate::core::{InstanceId, Workload};
use crate::runtime::RuntimeError;

/// What becomes of the Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// There is none, and one is made.
    Start,
    /// It goes on with its pod template, or there is none.
    Keep,
    /// Its pod template is replaced, and kept until what replaces it answers.
    Replace,
}

const REVISION: &str = "deployment.kubernetes.io/revision";

impl KubernetesRuntime {
    pub(super) fn api(&self, namespace: &str, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// Applies what is missing or differs, the Deployment last, and removes what is left over.
    pub(super) async fn apply_all(&self, workload: &Workload, mode: Mode) -> Result<(), RuntimeError> {
        let id = &workload.id;
        let live = self.all_of(id).await?;
        let values = Values::of(workload);
        // What was put back reads another one, and what it took the place of is not tried again.
        if mode != Mode::Keep || deployment_of(&live).is_none_or(|standing| values.are_read_by(id, standing)) {
            self.make_secret(workload, &values).await?;
        }
        let wanted = self.wanted(workload, &live);
        for (kind, object) in &wanted {
            self.apply_where_it_differs(id, *kind, object, &live).await?;
        }
        if mode == Mode::Keep {
            self.keep_deployment(workload, &values, &live).await?;
        } else {
            let object = deployment(workload, &values.name, replaced(&live, mode).as_ref());
            self.apply_where_it_differs(id, Kind::Deployment, &object, &live).await?;
        }
        for orphan in orphans(&wanted, &live) {
            self.delete(id, orphan).await?;
        }
        Ok(())
    }

    /// Applies what differs of a Deployment that stands. Its pod template stays where that is another one: it was put back.
    async fn keep_deployment(&self, workload: &Workload, values: &Values, live: &[Live]) -> Result<(), RuntimeError> {
        let Some(standing) = deployment_of(live) else { return Ok(()) };
        let mut object = in_place(workload, values, standing);
        if differences(Kind::Deployment, &object["spec"]["template"], &standing.object["spec"]["template"]).is_empty() {
            return self.apply_where_it_differs(&workload.id, Kind::Deployment, &object, live).await;
        }
        // Not by an apply, which would have to hold the template too, and then own all of it.
        object["spec"].as_object_mut().map(|spec| spec.remove("template"));
        if differences(Kind::Deployment, &object, &standing.object).is_empty() {
            return Ok(());
        }
        self.patch_deployment(&workload.id, "apply what is declared", &object).await
    }

    /// Its name says what it holds, so one that is there is the right one, unless it still belongs to an earlier instance of that name
    /// and is about to go.
    async fn make_secret(&self, workload: &Workload, values: &Values) -> Result<(), RuntimeError> {
        const ACTION: &str = "make its Secret";
        let id = &workload.id;
        let key = (id.clone(), values.name.clone());
        if self.found.lock().contains_key(&key) {
            return Ok(());
        }
        let object = serde_json::from_value(values.object(workload)).map_err(|error| RuntimeError::Refused {
            action: ACTION,
            instance: id.to_string(),
            message: error.to_string(),
            source: Some(Box::new(error)),
        })?;
        let api = self.api(&id.namespace, Kind::Secret);
        let params = PostParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PostParams::default() };
        if let Err(error) = api.create(&params, &object).await {
            if !matches!(&error, kube::Error::Api(status) if status.code == 409) {
                return Err(failed(ACTION, id, error));
            }
            let there = api.get_metadata_opt(&values.name).await.map_err(|error| failed(ACTION, id, error))?;
            let owners = there.iter().flat_map(|there| there.metadata.owner_references.iter().flatten());
            if !owners.map(|owner| &owner.uid).any(|uid| *uid == id.uid) {
                gone_or(api.delete(&values.name, &DeleteParams::default()).await, ACTION, id)?;
                api.create(&params, &object).await.map_err(|error| failed(ACTION, id, error))?;
            }
        }
        self.found.lock().insert(key, Instant::now());
        Ok(())
    }

    async fn apply_where_it_differs(
        &self,
        id: &InstanceId,
        kind: Kind,
        object: &Value,
        live: &[Live],
    ) -> Result<(), RuntimeError> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match live.iter().find(|live| live.kind == kind && live.name() == name) {
            Some(standing) if differences(kind, object, &standing.object).is_empty() => return Ok(()),
            Some(standing) if kind == Kind::PersistentVolumeClaim => return self.grow(id, object, standing).await,
            Some(_) => {}
            None => self.refuse_foreign(id, kind, name).await?,
        }
        self.apply(id, kind, object).await
    }

    /// A claim that the cluster does not let grow keeps no instance from being looked after: it is told as a condition.
    async fn grow(&self, id: &InstanceId, object: &Value, standing: &Live) -> Result<(), RuntimeError> {
        let applied = self.apply(id, Kind::PersistentVolumeClaim, object).await;
        let (Some(wanted), Some(has)) = (size(object), size(&standing.object)) else { return applied };
        if covers(has, wanted) {
            return applied;
        }
        let name = standing.name().to_owned();
        match applied {
            Ok(()) => {
                self.refused.lock().entry(id.clone()).or_default().remove(&name);
                Ok(())
            }
            // A time-out or a fault of the API server is no answer: the error is returned, and it is tried again.
            Err(RuntimeError::Refused { message, .. }) => {
                let said = format!("{name} stays at {has}: {message}");
                let refusal = Refusal { size: wanted.to_owned(), said };
                self.refused.lock().entry(id.clone()).or_default().insert(name, refusal);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Something of that name that is not ours is not taken over.
    async fn refuse_foreign(&self, id: &InstanceId, kind: Kind, name: &str) -> Result<(), RuntimeError> {
        // Out of the API server's own memory, which is quick, and as new as anything that was there before.
        let there = self.api(&id.namespace, kind).get_metadata_opt_with(name, &GetParams::any()).await;
        let there = there.map_err(|error| failed("look at what is there", id, error))?;
        let Some(there) = there else { return Ok(()) };
        let label = there.metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE));
        // Somebody may have taken our labels off.
        let managers = there.metadata.managed_fields.as_deref().unwrap_or_default();
        let applied_by_us = managers.iter().any(|entry| {
            entry.manager.as_deref() == Some(names::FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
        });
        if label == Some(&id.name) || (label.is_none() && applied_by_us) {
            return Ok(());
        }
        Err(RuntimeError::NameTaken { instance: id.to_string(), what: format!("{} {name}", kind.as_str()) })
    }

    async fn apply(&self, id: &InstanceId, kind: Kind, object: &Value) -> Result<(), RuntimeError> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let api = self.api(&id.namespace, kind);
        let params = PatchParams::apply(names::FIELD_MANAGER);
        let patch = Patch::Apply(object);
        let mut applied = match api.patch(name, &params, &patch).await {
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "Conflict" => {
                self.tell_conflict(id, kind, name, &status.message);
                api.patch(name, &params.force(), &patch).await
            }
            other => other,
        };
        // An apply adds to what somebody else edited in a list, which may then be nonsense; a merge replaces the list.
        if matches!(&applied, Err(kube::Error::Api(status)) if status.code == 422)
            && let Ok(merged) = api.patch(name, &changed_by_us(), &Patch::Merge(object)).await
        {
            applied = Ok(merged);
        }
        let applied = applied.map_err(|error| failed("apply what is declared", id, error))?;
        let standing = serde_json::to_value(&applied).unwrap_or_default();
        self.watches.put(kind, applied);
        // Or is left as it was edited.
        if !differences(kind, object, &standing).is_empty() {
            let merged = api.patch(name, &changed_by_us(), &Patch::Merge(object)).await;
            self.watches.put(kind, merged.map_err(|error| failed("apply what is declared", id, error))?);
        }
        Ok(())
    }

    fn tell_conflict(&self, id: &InstanceId, kind: Kind, name: &str, said: &str) {
        // Fields of other requests of ours are nobody else's.
        let managers = said.matches("conflict with \"").count() + said.matches("conflicts with \"").count();
        if managers > 0 && managers == said.matches(&format!("with \"{}\"", names::FIELD_MANAGER)).count() {
            return;
        }
        let message = format!("{} {name} is changed by somebody else as well, and was put back: {said}", kind.as_str());
        tracing::warn!(instance = id.log_name(), "{message}");
        // Nobody has to listen.
        let _ = self.notices.send(Notice { id: id.clone(), reason: "FieldConflict", message });
    }

    pub(super) async fn scale(&self, id: &InstanceId, replicas: u8) -> Result<(), RuntimeError> {
        self.patch_deployment(id, "scale", &json!({"spec": {"replicas": replicas}})).await
    }

    /// Changes the Deployment, where there is one.
    async fn patch_deployment(&self, id: &InstanceId, action: &'static str, patch: &Value) -> Result<(), RuntimeError> {
        let deployments = self.api(&id.namespace, Kind::Deployment);
        match deployments.patch(&names::name(id), &changed_by_us(), &Patch::Merge(patch)).await {
            Ok(patched) => {
                self.watches.put(Kind::Deployment, patched);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(failed(action, id, error)),
        }
    }

    /// The replacement serves: what it replaced, and the secret values of that, are not needed any more.
    pub(super) async fn release_retained(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let live = self.watches.of(id);
        let Some(standing) = deployment_of(&live) else { return Ok(()) };
        let Some(Replaced { former, .. }) = Replaced::read(standing) else { return Ok(()) };
        let template = self.template_of(id, &former).await?;
        self.patch_deployment(id, "let go of what was replaced", &Replaced::forget()).await?;
        match template {
            Some(template) => self.remove_secret_of(id, &template, &standing.object["spec"]["template"]).await,
            None => Ok(()),
        }
    }

    /// The pod template that a ReplicaSet keeps.
    async fn template_of(&self, id: &InstanceId, replica_set: &str) -> Result<Option<Value>, RuntimeError> {
        let found = self.api(&id.namespace, Kind::ReplicaSet).get_opt(replica_set).await;
        let found = found.map_err(|error| failed("look at what was replaced", id, error))?;
        Ok(found.map(|mut found| {
            let mut template = found.data["spec"]["template"].take();
            if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
                labels.remove("pod-template-hash");
            }
            template
        }))
    }

    /// Puts the former pod template back as a whole.
    pub(super) async fn restore_retained(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        const ACTION: &str = "put back what was replaced";
        let live = self.watches.of(id);
        let Some(Replaced { former, .. }) = deployment_of(&live).and_then(Replaced::read) else {
            return Ok(());
        };
        let Some(template) = self.template_of(id, &former).await? else {
            // There is nothing to go back to; what is declared stays, and is told as it is.
            return self.patch_deployment(id, ACTION, &Replaced::forget()).await;
        };
        let standing = self.api(&id.namespace, Kind::Deployment).get(&names::name(id)).await;
        let standing = standing.map_err(|error| failed(ACTION, id, error))?;
        // Forgotten at once with the change, so that a crash between the two cannot happen.
        let mut patch = Replaced::forget();
        patch["metadata"]["resourceVersion"] = json!(standing.metadata.resource_version);
        patch["spec"]["template"] = merge(&standing.data["spec"]["template"], &template);
        self.patch_deployment(id, ACTION, &patch).await?;
        self.remove_secret_of(id, &standing.data["spec"]["template"], &template).await
    }

    /// Removes all that is ours but the claims and the session key.
    pub(super) async fn remove_all(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let live = self.watches.of(id);
        if let Some(secret) =
            deployment_of(&live).and_then(|standing| secret_of(id, &standing.object["spec"]["template"]))
        {
            self.remove_secret(id, secret).await?;
        }
        for object in live.iter().filter(|live| live.kind.is_ours() && live.kind != Kind::PersistentVolumeClaim) {
            self.delete(id, object).await?;
        }
        Ok(())
    }

    /// Removes the claims we made, and the session key that belongs to what they hold.
    pub(super) async fn remove_claims(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        for object in self.watches.of(id).iter().filter(|live| live.kind == Kind::PersistentVolumeClaim) {
            self.delete(id, object).await?;
        }
        const ACTION: &str = "remove its session key";
        let api = self.api(&id.namespace, Kind::Secret);
        let found = api.get_metadata_opt(&names::session(id)).await.map_err(|error| failed(ACTION, id, error))?;
        let label = |secret: &ObjectMeta| secret.labels.as_ref()?.get(names::INSTANCE).cloned();
        let Some(secret) = found.filter(|secret| label(&secret.metadata).as_ref() == Some(&id.name)) else {
            return Ok(());
        };
        let same = Preconditions { uid: secret.metadata.uid, resource_version: None };
        gone_or(api.delete(&names::session(id), &DeleteParams::default().preconditions(same)).await, ACTION, id)
    }

    /// Removes the Secret that only a pod template reads that is gone.
    async fn remove_secret_of(&self, id: &InstanceId, gone: &Value, stays: &Value) -> Result<(), RuntimeError> {
        match secret_of(id, gone) {
            Some(stale) if secret_of(id, stays).as_ref() != Some(&stale) => self.remove_secret(id, stale).await,
            _ => Ok(()),
        }
    }

    async fn remove_secret(&self, id: &InstanceId, name: String) -> Result<(), RuntimeError> {
        let deleted = self.api(&id.namespace, Kind::Secret).delete(&name, &DeleteParams::default()).await;
        self.found.lock().remove(&(id.clone(), name));
        gone_or(deleted, "remove its Secret", id)
    }

    async fn delete(&self, id: &InstanceId, object: &Live) -> Result<(), RuntimeError> {
        // Only what was seen: something else may have its name by now.
        let params = DeleteParams::background()
            .preconditions(Preconditions { uid: Some(object.uid().to_owned()), resource_version: None });
        let deleted = self.api(&id.namespace, object.kind).delete(object.name(), &params).await;
        gone_or(deleted, "remove what is left", id)
    }
}

/// What is kept beside a replacement. A template that does not answer now is no better than what replaces it.
fn replaced(live: &[Live], mode: Mode) -> Option<Replaced> {
    let deployment = deployment_of(live)?;
    let standing = Replaced::read(deployment);
    if mode == Mode::Start {
        return standing;
    }
    let at = Timestamp::now();
    if let Some(Replaced { former, .. }) = standing {
        return Some(Replaced { former, at });
    }
    let revision = |live: &&Live| live.annotation(REVISION).and_then(|revision| revision.parse::<u64>().ok());
    let newest = live.iter().filter(|live| live.kind == Kind::ReplicaSet).max_by_key(revision)?;
    is_available(deployment).then(|| Replaced { former: newest.name().to_owned(), at })
}

/// A change that is no apply.
fn changed_by_us() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn gone_or<T>(deleted: Result<T, kube::Error>, action: &'static str, id: &InstanceId) -> Result<(), RuntimeError> {
    match deleted {
        Ok(_) => Ok(()),
        // Gone already, or something else has its name by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(failed(action, id, error)),
    }
}

/// Classifies an error of the API server.
pub(super) fn failed(action: &'static str, id: &InstanceId, error: kube::Error) -> RuntimeError {
    let (instance, message) = (id.to_string(), error_message(&error));
    if is_refusal(&error) {
        RuntimeError::Refused { action, instance, message, source: Some(Box::new(error)) }
    } else {
        RuntimeError::Unreachable { action, instance, message, source: Some(Box::new(error)) }
    }
}
