//! Applies a workload to a cluster. Each step can be repeated after a crash, and continues from the
//! objects that it finds.

use std::time::Instant;

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, DynamicObject, GetParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::claim::{Refusal, covers, requested_size};
use super::compare::differences;
use super::deployment::deployment;
use super::kind::Kind;
use super::live_object::LiveObject;
use super::observe::{deployment_of, in_place, is_available, orphans};
use super::owned_fields::{additions, without};
use super::remove::ignore_absent;
use super::retained_template::RetainedTemplate;
use super::secret::SecretValues;
use super::{KubernetesRuntime, WarningEvent};
use crate::cluster::{ApiFailure, classify, error_message, names};
use crate::core::{Change, Effect, InstanceId, Workload};
use crate::runtime::RuntimeError;

/// Treatment of the Deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeploymentMode {
    /// It is created.
    Create,
    /// It keeps its pod template, or does not exist.
    Keep,
    /// Its pod template is replaced, and retained until the replacement is ready.
    Replace,
}

/// Path of the pod template.
const TEMPLATE: &str = ".spec.template";
/// Annotation by which the cluster counts the pod templates of a Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";

impl KubernetesRuntime {
    pub(super) fn api(&self, namespace: &str, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// Applies the objects that are missing or differ, the Deployment last, and removes those that
    /// are not declared any more.
    pub(super) async fn apply_all(&self, workload: &Workload, mode: DeploymentMode) -> Result<(), RuntimeError> {
        let id = &workload.id;
        let live = self.live_objects(id).await?;
        let values = SecretValues::from_workload(workload);
        // A template that was rolled back uses the Secret of its own, and the declared one is not
        // tried again.
        if mode != DeploymentMode::Keep || deployment_of(&live).is_none_or(|current| values.are_used_by(id, current)) {
            self.create_secret(workload, &values).await?;
        }
        let wanted = self.wanted(workload, &live);
        for (kind, object) in &wanted {
            self.apply_if_different(id, *kind, object, &live).await?;
        }
        if mode == DeploymentMode::Keep {
            self.update_deployment(workload, &values, &live).await?;
        } else {
            let object = deployment(workload, &values.name, retained_template(&live, mode).as_ref());
            self.apply_if_different(id, Kind::Deployment, &object, &live).await?;
        }
        for orphan in orphans(&wanted, &live) {
            self.delete(id, orphan).await?;
        }
        Ok(())
    }

    /// Applies the differences of an existing Deployment. A pod template that differs was rolled
    /// back, and stays.
    async fn update_deployment(
        &self,
        workload: &Workload,
        values: &SecretValues,
        live: &[LiveObject],
    ) -> Result<(), RuntimeError> {
        let Some(current) = deployment_of(live) else { return Ok(()) };
        let mut object = in_place(workload, values, current);
        let changes = differences(&object, current);
        let (of_template, others): (Vec<_>, Vec<_>) =
            changes.iter().partition(|change| change.effect == Effect::Recreate);
        if of_template.is_empty() {
            return self.apply_if_different(&workload.id, Kind::Deployment, &object, live).await;
        }
        if others.is_empty() {
            return Ok(());
        }
        let mut added = additions(&object, &current.object, &current.owned);
        added.retain(|path, _| !path.starts_with(TEMPLATE));
        // An apply would have to contain the template as well, and would then own all of it.
        object["spec"].as_object_mut().map(|spec| spec.remove("template"));
        self.patch_deployment(&workload.id, "update of the Deployment", &without(&added, &object)).await
    }

    /// Creates the Secret of a workload. Its name contains a hash of its values, so an existing one
    /// is right, unless it belongs to a former instance of that name and is about to be collected.
    async fn create_secret(&self, workload: &Workload, values: &SecretValues) -> Result<(), RuntimeError> {
        const ACTION: &str = "creation of the Secret";
        let id = &workload.id;
        let key = (id.clone(), values.name.clone());
        if self.found_secrets.lock().contains_key(&key) {
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
            if classify(&error) != ApiFailure::AlreadyExists {
                return Err(failed(ACTION, id, error));
            }
            let existing = api.get_metadata_opt(&values.name).await.map_err(|error| failed(ACTION, id, error))?;
            let owners = existing.iter().flat_map(|object| object.metadata.owner_references.iter().flatten());
            if !owners.map(|owner| &owner.uid).any(|uid| *uid == id.uid) {
                ignore_absent(api.delete(&values.name, &DeleteParams::default()).await, ACTION, id)?;
                api.create(&params, &object).await.map_err(|error| failed(ACTION, id, error))?;
            }
        }
        self.found_secrets.lock().insert(key, Instant::now());
        Ok(())
    }

    async fn apply_if_different(
        &self,
        id: &InstanceId,
        kind: Kind,
        object: &Value,
        live: &[LiveObject],
    ) -> Result<(), RuntimeError> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let current = live.iter().find(|live| live.kind == kind && live.name() == name);
        match current {
            Some(current) if differences(object, current).is_empty() => return Ok(()),
            Some(current) if kind == Kind::PersistentVolumeClaim => return self.apply_claim(id, object, current).await,
            Some(_) => {}
            None => self.check_ownership(id, kind, name).await?,
        }
        self.apply(id, kind, object, current).await
    }

    /// Applies a claim that exists. A refusal to enlarge it becomes a condition, so that everything
    /// else of the instance is still reconciled.
    async fn apply_claim(&self, id: &InstanceId, object: &Value, current: &LiveObject) -> Result<(), RuntimeError> {
        let applied = self.apply(id, Kind::PersistentVolumeClaim, object, Some(current)).await;
        let sizes = (requested_size(object), requested_size(&current.object));
        let (Some(wanted), Some(size)) = sizes else { return applied };
        if covers(size, wanted) {
            return applied;
        }
        let name = current.name().to_owned();
        match applied {
            Ok(()) => {
                self.refusals.lock().entry(id.clone()).or_default().remove(&name);
                Ok(())
            }
            Err(RuntimeError::Refused { message, .. }) => {
                let message = format!("{name} stays at {size}: {message}");
                let refusal = Refusal { size: wanted.to_owned(), message, at: Instant::now() };
                self.refusals.lock().entry(id.clone()).or_default().insert(name, refusal);
                Ok(())
            }
            // No answer about the size: the same request is repeated.
            Err(error) => Err(error),
        }
    }

    /// Refuses to take over an object of that name that was not made for the instance.
    async fn check_ownership(&self, id: &InstanceId, kind: Kind, name: &str) -> Result<(), RuntimeError> {
        // From the API server's cache: fast, and recent enough for an object that existed before.
        let found = self.api(&id.namespace, kind).get_metadata_opt_with(name, &GetParams::any()).await;
        let found = found.map_err(|error| failed("check of existing objects", id, error))?;
        let Some(found) = found else { return Ok(()) };
        let label = found.metadata.labels.as_ref().and_then(|labels| labels.get(names::INSTANCE));
        // Somebody may have removed the labels.
        let managers = found.metadata.managed_fields.as_deref().unwrap_or_default();
        let applied_by_us = managers.iter().any(|entry| {
            entry.manager.as_deref() == Some(names::FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
        });
        if label == Some(&id.name) || (label.is_none() && applied_by_us) {
            return Ok(());
        }
        Err(RuntimeError::NameTaken { instance: id.to_string(), what: format!("{} {name}", kind.as_str()) })
    }

    /// Applies an object, `current` if it exists, and removes what others added to it.
    async fn apply(
        &self,
        id: &InstanceId,
        kind: Kind,
        object: &Value,
        current: Option<&LiveObject>,
    ) -> Result<(), RuntimeError> {
        const ACTION: &str = "apply";
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let api = self.api(&id.namespace, kind);
        let params = PatchParams::apply(names::FIELD_MANAGER);
        let patch = Patch::Apply(object);
        let mut applied = api.patch(name, &params, &patch).await;
        if let Err(error) = &applied
            && let ApiFailure::FieldConflict { managers } = classify(error)
        {
            // Fields of other requests of the operator are nobody else's.
            if managers.iter().any(|manager| manager != names::FIELD_MANAGER) {
                self.warn_of_conflict(id, kind, name, error);
            }
            applied = api.patch(name, &params.force(), &patch).await;
        }
        // An apply adds to what somebody edited, which may then be invalid; a merge replaces lists
        // and removes fields.
        if applied.as_ref().is_err_and(|error| classify(error) == ApiFailure::Invalid)
            && let Ok(merged) = api.patch(name, &patch_params(), &Patch::Merge(restored(object, current))).await
        {
            applied = Ok(merged);
        }
        let applied = applied.map_err(|error| failed(ACTION, id, error))?;
        let mut live = LiveObject::new(kind, applied.clone());
        let mut kept = differences(object, &live);
        self.watches.record(kind, applied);
        // Or the API server keeps what was edited.
        if !kept.is_empty() {
            let merged = api.patch(name, &patch_params(), &Patch::Merge(restored(object, Some(&live)))).await;
            let merged = merged.map_err(|error| failed(ACTION, id, error))?;
            live = LiveObject::new(kind, merged.clone());
            kept = differences(object, &live);
            self.watches.record(kind, merged);
        }
        self.remember_kept(id, &live, kept);
        Ok(())
    }

    /// Remembers the differences that an object has although it was just applied: an admission
    /// webhook of the cluster insists on them, and would again.
    fn remember_kept(&self, id: &InstanceId, live: &LiveObject, kept: Vec<Change>) {
        let key = (id.clone(), live.kind, live.name().to_owned());
        let mut known = self.kept_differences.lock();
        if kept.is_empty() {
            known.remove(&key);
            return;
        }
        if known.get(&key).is_some_and(|known| *known == kept) {
            return;
        }
        let fields = kept.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        known.insert(key, kept);
        let message = format!(
            "{} {} is not as it was applied: the cluster or a webhook of it insists on {fields}; it stays so",
            live.kind.as_str(),
            live.name()
        );
        self.warn(id, "NotAsApplied", message);
    }

    /// Remembers by a dry run which differences an object would keep if it were applied. Without
    /// permission for it none are known.
    pub(super) async fn try_differences(&self, id: &InstanceId, object: &Value, live: &LiveObject) {
        let mut kept = differences(object, live);
        if kept.is_empty() {
            return;
        }
        let api = self.api(&id.namespace, live.kind);
        let apply = PatchParams::apply(names::FIELD_MANAGER).force().dry_run();
        // The same two requests as an apply: what one of them mends is no difference that stays.
        let applied = api.patch(live.name(), &apply, &Patch::Apply(object)).await;
        let patch = Patch::Merge(restored(object, Some(live)));
        let merged = api.patch(live.name(), &patch_params().dry_run(), &patch).await;
        let (Ok(applied), Ok(merged)) = (applied, merged) else { return };
        for tried in [applied, merged] {
            let left = differences(object, &LiveObject::new(live.kind, tried));
            kept.retain(|change| left.contains(change));
        }
        if !kept.is_empty() {
            self.kept_differences.lock().insert((id.clone(), live.kind, live.name().to_owned()), kept);
        }
    }

    fn warn_of_conflict(&self, id: &InstanceId, kind: Kind, name: &str, error: &kube::Error) {
        let message = format!(
            "{} {name} is changed by somebody else as well, and was restored as declared: {}",
            kind.as_str(),
            error_message(error)
        );
        self.warn(id, "FieldConflict", message);
    }

    fn warn(&self, id: &InstanceId, reason: &'static str, message: String) {
        tracing::warn!(instance = id.log_name(), "{message}");
        // It is fine if nobody listens.
        let _ = self.warnings.send(WarningEvent { id: id.clone(), reason, message });
    }

    /// Sets the number of replicas.
    pub(super) async fn scale(&self, id: &InstanceId, replicas: u8) -> Result<(), RuntimeError> {
        self.patch_deployment(id, "scaling", &json!({"spec": {"replicas": replicas}})).await
    }

    /// Changes the Deployment if it exists.
    pub(super) async fn patch_deployment(
        &self,
        id: &InstanceId,
        action: &'static str,
        patch: &Value,
    ) -> Result<(), RuntimeError> {
        let deployments = self.api(&id.namespace, Kind::Deployment);
        match deployments.patch(&names::object_name(id), &patch_params(), &Patch::Merge(patch)).await {
            Ok(patched) => {
                self.watches.record(Kind::Deployment, patched);
                Ok(())
            }
            Err(error) if classify(&error).is_absence() => Ok(()),
            Err(error) => Err(failed(action, id, error)),
        }
    }
}

/// Returns the template that a Deployment retains after it is applied. One that is not available
/// now is no better than its replacement, and is not retained.
fn retained_template(live: &[LiveObject], mode: DeploymentMode) -> Option<RetainedTemplate> {
    let deployment = deployment_of(live)?;
    let retained = RetainedTemplate::from_deployment(deployment);
    if mode == DeploymentMode::Create {
        return retained;
    }
    let replaced_at = Timestamp::now();
    if let Some(retained) = retained {
        return Some(RetainedTemplate { replaced_at, ..retained });
    }
    let revision = |live: &&LiveObject| live.annotation(REVISION).and_then(|revision| revision.parse::<u64>().ok());
    let newest = live.iter().filter(|live| live.kind == Kind::ReplicaSet).max_by_key(revision)?;
    is_available(deployment).then(|| RetainedTemplate { replica_set: newest.name().to_owned(), replaced_at })
}

/// Returns the merge patch that restores an object.
fn restored(object: &Value, current: Option<&LiveObject>) -> Value {
    match current {
        Some(current) => without(&additions(object, &current.object, &current.owned), object),
        None => object.clone(),
    }
}

/// Returns the parameters of a patch that is no apply.
fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Returns the error of a failed request, by what the caller does next.
pub(super) fn failed(action: &'static str, id: &InstanceId, error: kube::Error) -> RuntimeError {
    let (instance, message) = (id.to_string(), error_message(&error));
    if classify(&error).is_refusal() {
        RuntimeError::Refused { action, instance, message, source: Some(Box::new(error)) }
    } else {
        RuntimeError::Unreachable { action, instance, message, source: Some(Box::new(error)) }
    }
}
