//! Observation of the objects of one instance.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use secrecy::SecretString;

use super::apply::failed;
use super::children::children;
use super::claim::{Refusals, current_refusals, recent_refusals};
use super::compare::differences;
use super::deployment::deployment;
use super::diagnose::{diagnose, exposure, is_starting, missing_endpoints, storage};
use super::kind::Kind;
use super::live_object::LiveObject;
use super::network_policy::{Peers, admitted_operator_namespace};
use super::retained_template::RetainedTemplate;
use super::secret::SecretValues;
use super::version::{ServerVersion, image_version};
use super::{KubernetesRuntime, OperatorPlace};
use crate::cluster::names;
use crate::core::{
    Change, Component, Effect, Exposure, Field, InstanceId, Observed, Presence, Readiness, Retained, Workload,
};
use crate::runtime::{RuntimeError, log_tail};

/// Interval between checks of a Secret that was found.
const RECHECK_SECRET: Duration = Duration::from_secs(240);
/// The same while a node has a pod that does not run: it may be waiting for the Secret.
const RECHECK_SECRET_WHILE_STARTING: Duration = Duration::from_secs(10);

impl KubernetesRuntime {
    pub(super) async fn observe_objects(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
    ) -> Result<Observed, RuntimeError> {
        if let Some(unlisted) = self.watches.unlisted() {
            return Err(RuntimeError::Unreachable {
                action: "observation",
                instance: id.to_string(),
                message: unlisted,
                source: None,
            });
        }
        let live = self.live_objects(id).await?;
        let changes = match workload {
            Some(workload) => self.changes_to(workload, &live).await?,
            None => Vec::new(),
        };
        let version = self.version(id, workload, &live);
        let retained = deployment_of(&live).and_then(RetainedTemplate::from_deployment);
        Ok(Observed {
            jobs: self.observe_jobs(id).await,
            presence: presence(workload, &live, version, self.watches.is_listed(Kind::EndpointSlice)),
            changes,
            image: workload.map(|workload| workload.image.clone()),
            missing: None,
            retained: retained.map(|retained| Retained { hash: retained.replica_set }),
            last_exit: None,
            port_holder: None,
            maintenance: None,
            components: workload.map(|workload| self.components(workload, &live)).unwrap_or_default(),
        })
    }

    /// Returns the objects of an instance but those of its jobs.
    pub(super) async fn live_objects(&self, id: &InstanceId) -> Result<Vec<LiveObject>, RuntimeError> {
        let mut live = self.watches.objects(id);
        live.retain(|live| live.label(names::JOB).is_none());
        let has_pod = || live.iter().any(|live| live.kind == Kind::Pod && !live.is_being_deleted());
        if deployment_of(&live).is_none() && has_pod() {
            live.extend(self.unlabelled_deployment(id).await?);
        }
        Ok(live)
    }

    /// Returns the Deployment of an instance whose labels were removed by hand, so that no watch
    /// shows it.
    async fn unlabelled_deployment(&self, id: &InstanceId) -> Result<Option<LiveObject>, RuntimeError> {
        let found = self.api(&id.namespace, Kind::Deployment).get_opt(&names::object_name(id)).await;
        let found = found.map_err(|error| failed("look-up of the Deployment", id, error))?;
        let is_owned = |owners: &[OwnerReference]| owners.iter().any(|owner| owner.uid == id.uid);
        let found = found.filter(|found| is_owned(found.metadata.owner_references.as_deref().unwrap_or_default()));
        Ok(found.map(|found| LiveObject::new(Kind::Deployment, found)))
    }

    /// Returns the changes that make the live objects those of a workload.
    async fn changes_to(&self, workload: &Workload, live: &[LiveObject]) -> Result<Vec<Change>, RuntimeError> {
        let mut changes = Vec::new();
        let wanted = self.wanted(workload, live);
        for (kind, object) in &wanted {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            match live.iter().find(|live| live.kind == *kind && live.name() == name) {
                Some(live) => changes.extend(self.unexpected(&workload.id, object, live).await),
                None => changes.push(object_change(*kind, name, "missing", "as declared")),
            }
        }
        changes
            .extend(orphans(&wanted, live).map(|live| object_change(live.kind, live.name(), "left over", "removed")));
        if let Some(current) = deployment_of(live) {
            let values = SecretValues::from_workload(workload);
            let object = in_place(workload, &values, current);
            changes.extend(self.unexpected(&workload.id, &object, current).await);
            let interval = if is_starting(live) { RECHECK_SECRET_WHILE_STARTING } else { RECHECK_SECRET };
            let id = &workload.id;
            if values.are_used_by(id, current) && !self.secret_exists(id, &values.name, interval).await? {
                changes.push(object_change(Kind::Secret, &values.name, "missing", "as declared"));
            }
        }
        Ok(changes)
    }

    /// Returns the differences of an object but those that it kept although it was applied.
    async fn unexpected(&self, id: &InstanceId, wanted: &serde_json::Value, live: &LiveObject) -> Vec<Change> {
        if self.tries_differences {
            self.try_differences(id, wanted, live).await;
        }
        let mut found = differences(wanted, live);
        let kept = self.kept_differences.lock();
        if let Some(kept) = kept.get(&(id.clone(), live.kind, live.name().to_owned())) {
            found.retain(|change| !kept.contains(change));
        }
        found
    }

    /// Returns the objects of a workload, as far as this cluster serves their kinds.
    pub(super) fn wanted(&self, workload: &Workload, live: &[LiveObject]) -> Vec<(Kind, serde_json::Value)> {
        let refusals = current_refusals(workload, self.refusals_of(&workload.id));
        let refusals = recent_refusals(refusals, self.refusal_interval);
        let mut wanted = children(workload, live, &refusals, &self.peers(live));
        wanted.retain(|(kind, _)| *kind != Kind::HttpRoute || self.serves_routes());
        wanted
    }

    fn peers(&self, live: &[LiveObject]) -> Peers {
        let policy = || live.iter().find(|live| live.kind == Kind::NetworkPolicy);
        Peers {
            ingress_namespaces: self.ingress_namespaces.clone(),
            operator_namespace: match &self.operator_place {
                OperatorPlace::Outside => None,
                OperatorPlace::Namespace(namespace) => Some(namespace.clone()),
                OperatorPlace::AsAdmitted => policy().and_then(|policy| admitted_operator_namespace(&policy.object)),
            },
        }
    }

    fn components(&self, workload: &Workload, live: &[LiveObject]) -> Vec<Component> {
        let route = workload.cluster.exposure.as_ref().map(|exposure| match exposure {
            Exposure::Ingress { .. } => Kind::Ingress,
            Exposure::Route { .. } => Kind::HttpRoute,
        });
        let missing = (route == Some(Kind::HttpRoute) && !self.serves_routes()).then(|| {
            "this cluster does not serve HTTPRoute of gateway.networking.k8s.io/v1; install the Gateway API, or declare expose.ingress"
                .to_owned()
        });
        let refusals = current_refusals(workload, self.refusals_of(&workload.id));
        [Some(storage(live, &refusals)), exposure(live, route, missing)].into_iter().flatten().collect()
    }

    fn refusals_of(&self, id: &InstanceId) -> Refusals {
        self.refusals.lock().get(id).cloned().unwrap_or_default()
    }

    /// Returns the version of a server that is available: the one it names, or else the tag of its
    /// image. None while it is not known yet.
    fn version(&self, id: &InstanceId, workload: Option<&Workload>, live: &[LiveObject]) -> Option<String> {
        let versions = self.versions.as_ref()?;
        let Some(deployment) = deployment_of(live) else {
            versions.forget(id);
            return None;
        };
        if !is_available(deployment) {
            return None;
        }
        match versions.get(id, live, workload.map(|workload| &workload.probe)) {
            ServerVersion::Unknown => None,
            ServerVersion::Named(version) => Some(version),
            ServerVersion::Unnamed => {
                let containers = &deployment.object["spec"]["template"]["spec"]["containers"];
                image_version(containers[0]["image"].as_str()?)
            }
        }
    }

    /// Returns whether a Secret of an instance exists. Its name says what it contains, so nothing
    /// else is compared; one of a former instance of that name is about to be collected. A Secret
    /// that was found is taken to exist for `interval`.
    async fn secret_exists(&self, id: &InstanceId, name: &str, interval: Duration) -> Result<bool, RuntimeError> {
        let key = (id.clone(), name.to_owned());
        let found = self.found_secrets.lock().get(&key).copied();
        if found.is_some_and(|at| at.elapsed() < interval) {
            return Ok(true);
        }
        let found = self.api(&id.namespace, Kind::Secret).get_metadata_opt(name).await;
        let found = found.map_err(|error| failed("look-up of the Secret", id, error))?;
        let exists = found.is_some_and(|found| {
            let owners = found.metadata.owner_references.unwrap_or_default();
            found.metadata.deletion_timestamp.is_none() && owners.iter().any(|owner| owner.uid == id.uid)
        });
        let mut all = self.found_secrets.lock();
        if exists {
            all.insert(key, Instant::now())
        } else {
            all.remove(&key)
        };
        Ok(exists)
    }
}

/// Returns the state of the server. Where EndpointSlices are not listed, that a pod is available has
/// to be enough.
fn presence(
    workload: Option<&Workload>,
    live: &[LiveObject],
    version: Option<String>,
    lists_endpoints: bool,
) -> Presence {
    let pods = live.iter().any(|live| live.kind == Kind::Pod);
    let Some(deployment) = deployment_of(live) else {
        return if pods { Presence::Stopping } else { Presence::Absent };
    };
    if deployment.is_being_deleted() {
        return Presence::Stopping;
    }
    if deployment.object["spec"]["replicas"] == 0 {
        return if pods { Presence::Stopping } else { Presence::Stopped };
    }
    let running = live.iter().filter(|live| live.kind == Kind::Pod && !live.is_being_deleted());
    let newest = running.filter_map(LiveObject::created).max();
    let since = match RetainedTemplate::from_deployment(deployment) {
        // The time in which the former server ends and releases its volume is not the
        // replacement's.
        Some(retained) => newest.filter(|newest| newest.as_second() >= retained.replaced_at.as_second()),
        // One that was scaled up has no pod at first.
        None => newest.or_else(|| deployment.changed()).or_else(|| deployment.created()),
    };
    let readiness = if is_available(deployment) {
        let unreached = missing_endpoints(live).filter(|_| lists_endpoints);
        unreached.map_or(Readiness::Ready { version }, Readiness::Waiting)
    } else {
        let diagnosis = diagnose(deployment, live);
        let mut fault = diagnosis.fault;
        if let Some(line) = diagnosis.log_tail.and_then(|log| last_line(&log, workload)) {
            fault.detail = format!("{}; its last line was: {line}", fault.detail);
        }
        Readiness::Waiting(fault)
    };
    Presence::Running { since: since.unwrap_or_else(Timestamp::now), readiness }
}

/// Returns the last line of a log without secrets; none where those are not known.
fn last_line(log: &str, workload: Option<&Workload>) -> Option<String> {
    let secrets: Vec<SecretString> = workload?.secret_values().into_values().cloned().collect();
    log_tail::printable_tail(log.as_bytes(), &secrets).pop()
}

/// Returns the declared Deployment with the replicas and the retained template of the current one.
pub(super) fn in_place(workload: &Workload, values: &SecretValues, current: &LiveObject) -> serde_json::Value {
    let mut object = deployment(workload, &values.name, RetainedTemplate::from_deployment(current).as_ref());
    if current.object["spec"]["replicas"] == 0 {
        // An action of its own starts one that is stopped.
        object["spec"]["replicas"] = 0.into();
    }
    object
}

pub(super) fn deployment_of(live: &[LiveObject]) -> Option<&LiveObject> {
    live.iter().find(|live| live.kind == Kind::Deployment)
}

/// Returns whether the pod of the newest template is available, and no other exists.
pub(super) fn is_available(deployment: &LiveObject) -> bool {
    let (status, metadata) = (&deployment.object["status"], &deployment.object["metadata"]);
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    status["observedGeneration"].as_i64() >= metadata["generation"].as_i64()
        && count("availableReplicas") >= 1
        && count("updatedReplicas") == count("replicas")
}

/// Returns the applied objects that are not declared any more. Claims hold data and are never among
/// them.
pub(super) fn orphans<'a>(
    wanted: &'a [(Kind, serde_json::Value)],
    live: &'a [LiveObject],
) -> impl Iterator<Item = &'a LiveObject> {
    live.iter().filter(move |live| {
        live.kind.is_applied()
            && !live.is_being_deleted()
            && !matches!(live.kind, Kind::Deployment | Kind::PersistentVolumeClaim)
            && !wanted.iter().any(|(kind, object)| *kind == live.kind && object["metadata"]["name"] == live.name())
    })
}

/// Returns the change that creates or removes an object.
fn object_change(kind: Kind, name: &str, from: &str, to: &str) -> Change {
    let field = Field::Object { kind: kind.as_str(), name: name.to_owned() };
    Change { field, effect: Effect::Auxiliary, from: from.to_owned(), to: to.to_owned() }
}
