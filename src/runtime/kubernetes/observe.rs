//! Observation of the objects of one instance.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use secrecy::SecretString;

use super::KubernetesRuntime;
use super::apply::failed;
use super::children::children;
use super::claim::Refusals;
use super::compare::differences;
use super::deployment::deployment;
use super::diagnose::{diagnose, exposure, is_being_started, storage};
use super::kind::Kind;
use super::live::Live;
use super::replaced::Replaced;
use super::secret::Values;
use crate::cluster::names;
use crate::core::{
    Change, Component, Effect, Exposure, Field, InstanceId, Observed, Presence, Readiness, Retained, Workload,
};
use crate::runtime::{RuntimeError, log_tail};

/// How long a Secret that was found is taken to be there.
const FOUND_AGAIN: Duration = Duration::from_secs(240);
/// The same while a node has its pod and does not run it: that may be waiting for it.
const FOUND_WHILE_STARTING: Duration = Duration::from_secs(10);

impl KubernetesRuntime {
    pub(super) async fn observe_objects(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
    ) -> Result<Observed, RuntimeError> {
        if let Some(unknown) = self.watches.unknown() {
            return Err(RuntimeError::Unreachable {
                action: "look at what is there",
                instance: id.to_string(),
                message: unknown,
                source: None,
            });
        }
        let live = self.all_of(id).await?;
        let changes = match workload {
            Some(workload) => self.changes_to(workload, &live).await?,
            None => Vec::new(),
        };
        let presence = presence(workload, &live);
        let replaced = deployment_of(&live).and_then(Replaced::read);
        Ok(Observed {
            presence,
            changes,
            missing: None,
            retained: replaced.map(|replaced| Retained { hash: replaced.former }),
            last_exit: None,
            port_holder: None,
            maintenance: None,
            components: workload.map(|workload| self.components(id, workload, &live)).unwrap_or_default(),
        })
    }

    /// Everything there is of an instance.
    pub(super) async fn all_of(&self, id: &InstanceId) -> Result<Vec<Live>, RuntimeError> {
        let mut live = self.watches.of(id);
        if deployment_of(&live).is_none() && live.iter().any(|live| live.kind == Kind::Pod && !live.is_leaving()) {
            live.extend(self.unlabelled_deployment(id).await?);
        }
        Ok(live)
    }

    /// The Deployment of an instance whose labels were taken off by hand, so that no watch tells of it.
    async fn unlabelled_deployment(&self, id: &InstanceId) -> Result<Option<Live>, RuntimeError> {
        let found = self.api(&id.namespace, Kind::Deployment).get_opt(&names::name(id)).await;
        let found = found.map_err(|error| failed("look at its Deployment", id, error))?;
        let is_ours = |owners: &[OwnerReference]| owners.iter().any(|owner| owner.uid == id.uid);
        let found = found.filter(|found| is_ours(found.metadata.owner_references.as_deref().unwrap_or_default()));
        Ok(found.map(|found| Live::of(Kind::Deployment, found)))
    }

    /// How what is there differs from what a workload asks for.
    async fn changes_to(&self, workload: &Workload, live: &[Live]) -> Result<Vec<Change>, RuntimeError> {
        let mut changes = Vec::new();
        let wanted = self.wanted(workload, live);
        for (kind, object) in &wanted {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            match live.iter().find(|live| live.kind == *kind && live.name() == name) {
                Some(live) => changes.extend(differences(*kind, object, &live.object)),
                None => changes.push(whole(*kind, name, "missing", "as declared")),
            }
        }
        changes.extend(orphans(&wanted, live).map(|live| whole(live.kind, live.name(), "left over", "removed")));
        if let Some(standing) = deployment_of(live) {
            let values = Values::of(workload);
            changes.extend(differences(Kind::Deployment, &in_place(workload, &values, standing), &standing.object));
            let trusted = if is_being_started(live) { FOUND_WHILE_STARTING } else { FOUND_AGAIN };
            let id = &workload.id;
            if values.are_read_by(id, standing) && !self.is_found(id, &values.name, trusted).await? {
                changes.push(whole(Kind::Secret, &values.name, "missing", "as declared"));
            }
        }
        Ok(changes)
    }

    /// What a workload asks for, as far as this cluster serves it.
    pub(super) fn wanted(&self, workload: &Workload, live: &[Live]) -> Vec<(Kind, serde_json::Value)> {
        let mut wanted = children(workload, live, &self.refused(&workload.id), &self.entrances);
        wanted.retain(|(kind, _)| *kind != Kind::HttpRoute || self.routes_served());
        wanted
    }

    fn components(&self, id: &InstanceId, workload: &Workload, live: &[Live]) -> Vec<Component> {
        let entry = workload.cluster.exposure.as_ref().map(|entry| match entry {
            Exposure::Ingress { .. } => Kind::Ingress,
            Exposure::Route { .. } => Kind::HttpRoute,
        });
        let missing = (entry == Some(Kind::HttpRoute) && !self.routes_served()).then(|| {
            "this cluster does not serve HTTPRoute of gateway.networking.k8s.io/v1; install the Gateway API, or declare expose.ingress"
                .to_owned()
        });
        [Some(storage(live, &self.refused(id))), exposure(live, entry, missing)].into_iter().flatten().collect()
    }

    fn refused(&self, id: &InstanceId) -> Refusals {
        self.refused.lock().get(id).cloned().unwrap_or_default()
    }

    /// Whether a Secret of ours is there. Its name says what it holds, so that is all there is to know; one of an earlier instance of the
    /// same name is about to be collected. What was found is taken to be there for so long.
    async fn is_found(&self, id: &InstanceId, name: &str, trusted: Duration) -> Result<bool, RuntimeError> {
        let key = (id.clone(), name.to_owned());
        let found = self.found.lock().get(&key).copied();
        if found.is_some_and(|at| at.elapsed() < trusted) {
            return Ok(true);
        }
        let there = self.api(&id.namespace, Kind::Secret).get_metadata_opt(name).await;
        let there = there.map_err(|error| failed("look at its Secret", id, error))?;
        let is_ours = there.is_some_and(|there| {
            let owners = there.metadata.owner_references.unwrap_or_default();
            there.metadata.deletion_timestamp.is_none() && owners.iter().any(|owner| owner.uid == id.uid)
        });
        let mut all = self.found.lock();
        if is_ours {
            all.insert(key, Instant::now())
        } else {
            all.remove(&key)
        };
        Ok(is_ours)
    }
}

/// Returns the state of the server.
fn presence(workload: Option<&Workload>, live: &[Live]) -> Presence {
    let pods = live.iter().any(|live| live.kind == Kind::Pod);
    let Some(deployment) = deployment_of(live) else {
        return if pods { Presence::Stopping } else { Presence::Absent };
    };
    if deployment.is_leaving() {
        return Presence::Stopping;
    }
    if deployment.object["spec"]["replicas"] == 0 {
        return if pods { Presence::Stopping } else { Presence::Stopped };
    }
    let newest =
        live.iter().filter(|live| live.kind == Kind::Pod && !live.is_leaving()).filter_map(Live::created).max();
    let since = match Replaced::read(deployment) {
        // The time that the former server takes to end, and a volume to be free, is not the replacement's.
        Some(Replaced { at, .. }) => newest.filter(|newest| newest.as_second() >= at.as_second()),
        None => newest.or_else(|| deployment.created()),
    };
    let readiness = if is_available(deployment) {
        Readiness::Ready { version: version(deployment) }
    } else {
        let diagnosis = diagnose(deployment, live);
        let mut fault = diagnosis.fault;
        if let Some(line) = diagnosis.last_words.and_then(|words| last_line(&words, workload)) {
            fault.detail = format!("{}; its last line was: {line}", fault.detail);
        }
        Readiness::Waiting(fault)
    };
    Presence::Running { since: since.unwrap_or_else(Timestamp::now), readiness }
}

/// The last line of what a server said, without its secrets. Where those are not known it cannot be shown.
fn last_line(words: &str, workload: Option<&Workload>) -> Option<String> {
    let secrets: Vec<SecretString> = workload?.secret_values().into_values().cloned().collect();
    log_tail::printable_tail(words.as_bytes(), &secrets).pop()
}

/// The Deployment as declared, where one stands: it goes on running or not, and keeps what it replaced.
pub(super) fn in_place(workload: &Workload, values: &Values, standing: &Live) -> serde_json::Value {
    let mut object = deployment(workload, &values.name, Replaced::read(standing).as_ref());
    if standing.object["spec"]["replicas"] == 0 {
        // A stopped one is started by a step of its own.
        object["spec"]["replicas"] = 0.into();
    }
    object
}

pub(super) fn deployment_of(live: &[Live]) -> Option<&Live> {
    live.iter().find(|live| live.kind == Kind::Deployment)
}

/// Whether the pod of the newest template is available, and no other.
pub(super) fn is_available(deployment: &Live) -> bool {
    let (status, metadata) = (&deployment.object["status"], &deployment.object["metadata"]);
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    status["observedGeneration"].as_i64() >= metadata["generation"].as_i64()
        && count("availableReplicas") >= 1
        && count("updatedReplicas") == count("replicas")
}

/// What is ours and not asked for any more. Claims hold data, so they are no leftovers.
pub(super) fn orphans<'a>(wanted: &'a [(Kind, serde_json::Value)], live: &'a [Live]) -> impl Iterator<Item = &'a Live> {
    live.iter().filter(move |live| {
        live.kind.is_ours()
            && !live.is_leaving()
            && !matches!(live.kind, Kind::Deployment | Kind::PersistentVolumeClaim)
            && !wanted.iter().any(|(kind, object)| *kind == live.kind && object["metadata"]["name"] == live.name())
    })
}

/// Returns the change that creates or removes an object.
fn whole(kind: Kind, name: &str, from: &str, to: &str) -> Change {
    let field = Field::Object { kind: kind.as_str(), name: name.to_owned() };
    Change { field, effect: Effect::Auxiliary, from: from.to_owned(), to: to.to_owned() }
}

/// The tag of the image that serves.
fn version(deployment: &Live) -> Option<String> {
    let image = deployment.object["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag.to_owned());
    tag.or_else(|| digest.map(|digest| digest.chars().take(19).collect()))
}
