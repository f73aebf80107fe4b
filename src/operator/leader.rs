//! Which of several operators is at work: the holder of a Lease.
//!
//! Every change of the Lease names the version it was made from, so of two who want it at once one gets it. Its holder counts from the
//! moment before its last renewal was sent; once that is longer ago than it may be, it is no leader any more and has to end, well before
//! anybody else takes the Lease for abandoned. A program that was stopped for so long is kept from writing by [`super::fence`]. Whoever
//! waits measures by its own clock how long the Lease has not moved, so clocks that differ do no harm.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};

use super::fence::Fence;
use crate::cluster::error_message;

/// A Lease that has not moved for this long is abandoned.
const LEASE: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long is none any more.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often the Lease is renewed, or looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// How long a request for it may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// A candidate, and once it has the Lease the leader.
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    fence: Fence,
}

/// The Lease as it was last held by us.
pub(super) struct Held {
    lease: Lease,
    renewed: Instant,
}

impl Candidate {
    pub(super) fn new(client: Client, namespace: &str, name: &str, identity: String, fence: Fence) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity, fence }
    }

    /// Waits until the Lease is ours.
    pub(super) async fn win(&self) -> Held {
        let mut seen: Option<(Option<String>, Instant)> = None;
        let mut told = None;
        loop {
            let sent = Instant::now();
            match tokio::time::timeout(PATIENCE, self.attempt(&mut seen, &mut told)).await {
                Ok(Ok(Some(lease))) => {
                    tracing::info!(lease = %self.name, identity = %self.identity, "leading");
                    self.fence.open_until(sent, DEADLINE);
                    return Held { lease, renewed: sent };
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!("Lease {} could not be had: {}", self.name, error_message(&error)),
                Err(_) => tracing::warn!("Lease {} could not be had: the API server does not answer", self.name),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn attempt(
        &self,
        seen: &mut Option<(Option<String>, Instant)>,
        told: &mut Option<String>,
    ) -> Result<Option<Lease>, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None)),
            };
            return self.won(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty());
        if let Some(holder) = holder.filter(|holder| *holder != self.identity) {
            if told.as_ref() != Some(&holder) {
                tracing::info!(lease = %self.name, "standing by; {holder} leads");
                *told = Some(holder);
            }
            let version = lease.metadata.resource_version.clone();
            let duration =
                spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
            match seen {
                Some((known, since)) if *known == version => {
                    if since.elapsed() < duration.map_or(LEASE, Duration::from_secs).max(LEASE) {
                        return Ok(None);
                    }
                }
                _ => {
                    *seen = Some((version, Instant::now()));
                    return Ok(None);
                }
            }
        }
        let next = Lease { spec: Some(self.spec(lease.spec.as_ref())), metadata: lease.metadata };
        self.won(self.api.replace(&self.name, &PostParams::default(), &next).await)
    }

    /// Somebody else was quicker: that is no error.
    fn won(&self, outcome: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
        match outcome {
            Ok(lease) => Ok(Some(lease)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews until it cannot be told any more that the Lease is ours; says why.
    pub(super) async fn keep(&self, held: &tokio::sync::Mutex<Held>) -> String {
        loop {
            tokio::time::sleep(PERIOD).await;
            let mut held = held.lock().await;
            let sent = Instant::now();
            let left = DEADLINE.saturating_sub(held.renewed.elapsed());
            if left.is_zero() {
                return format!("Lease {} could not be renewed for {} s", self.name, DEADLINE.as_secs());
            }
            let next = Lease { spec: Some(self.spec(held.lease.spec.as_ref())), metadata: held.lease.metadata.clone() };
            match tokio::time::timeout(left.min(PATIENCE), self.api.replace(&self.name, &PostParams::default(), &next))
                .await
            {
                Ok(Ok(lease)) => {
                    self.fence.open_until(sent, DEADLINE);
                    *held = Held { lease, renewed: sent };
                }
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                    // It moved: either an answer of ours was lost, or somebody else has it.
                    match tokio::time::timeout(left.min(PATIENCE), self.api.get_opt(&self.name)).await {
                        Ok(Ok(Some(lease))) if holds(&lease, &self.identity) => held.lease = lease,
                        Ok(Ok(_)) => return format!("Lease {} was taken by somebody else", self.name),
                        _ => {}
                    }
                }
                Ok(Err(error)) => tracing::warn!("Lease {} was not renewed: {}", self.name, error_message(&error)),
                Err(_) => tracing::warn!("Lease {} was not renewed: the API server does not answer", self.name),
            }
        }
    }

    /// Hands the Lease over at once.
    pub(super) async fn give_up(&self, held: &Held) {
        let spec =
            LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), ..self.spec(held.lease.spec.as_ref()) };
        let next = Lease { spec: Some(spec), metadata: held.lease.metadata.clone() };
        match tokio::time::timeout(PATIENCE, self.api.replace(&self.name, &PostParams::default(), &next)).await {
            Ok(Ok(_)) => tracing::info!(lease = %self.name, "handed over"),
            // It runs out by itself.
            Ok(Err(error)) => tracing::warn!("Lease {} could not be handed over: {}", self.name, error_message(&error)),
            Err(_) => tracing::warn!("Lease {} could not be handed over: the API server does not answer", self.name),
        }
    }

    fn spec(&self, standing: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = standing.is_some_and(|spec| spec.holder_identity.as_ref() == Some(&self.identity));
        let transitions = standing.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            acquire_time: standing.filter(|_| ours).and_then(|spec| spec.acquire_time.clone()).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours || standing.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }
}

fn holds(lease: &Lease, identity: &str) -> bool {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(identity)
}
