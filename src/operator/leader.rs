//! Leader election: of several operators the holder of a Lease leads.
//!
//! Every change of the Lease names the version it was made from, so of two candidates one acquires
//! it. The holder counts from the moment before its last renewal was sent; after a deadline it is
//! no leader any more and ends, well before a candidate takes the Lease for abandoned.
//! [`super::lease_guard`] blocks the writes of a program that was stopped for so long. A candidate
//! measures by its own clock how long the Lease has not changed, so clocks may differ.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};

use super::lease_guard::LeaseGuard;
use crate::cluster::{ApiFailure, classify, error_message};

/// Time without a change after which a Lease is abandoned.
const LEASE: Duration = Duration::from_secs(15);
/// Time without a renewal after which a leader ends.
const DEADLINE: Duration = Duration::from_secs(10);
/// Interval between renewals, or checks of the Lease.
const PERIOD: Duration = Duration::from_secs(2);
/// Longest time of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A candidate, and once it holds the Lease the leader.
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    lease_guard: LeaseGuard,
}

/// The Lease as this operator last wrote it.
pub(super) struct HeldLease {
    lease: Lease,
    renewed: Instant,
}

impl Candidate {
    pub(super) fn new(client: Client, namespace: &str, name: &str, identity: String, lease_guard: LeaseGuard) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity, lease_guard }
    }

    /// Waits until the Lease is acquired.
    pub(super) async fn acquire(&self) -> HeldLease {
        let mut seen: Option<(Option<String>, Instant)> = None;
        let mut logged = None;
        loop {
            let sent = Instant::now();
            match tokio::time::timeout(REQUEST_TIMEOUT, self.attempt(&mut seen, &mut logged)).await {
                Ok(Ok(Some(lease))) => {
                    tracing::info!(lease = %self.name, identity = %self.identity, "leading");
                    self.lease_guard.allow_until(sent, DEADLINE);
                    return HeldLease { lease, renewed: sent };
                }
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::warn!("Lease {} could not be acquired: {}", self.name, error_message(&error))
                }
                Err(_) => tracing::warn!("Lease {} could not be acquired: the API server does not answer", self.name),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn attempt(
        &self,
        seen: &mut Option<(Option<String>, Instant)>,
        logged: &mut Option<String>,
    ) -> Result<Option<Lease>, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None)),
            };
            return self.acquired(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty());
        if let Some(holder) = holder.filter(|holder| *holder != self.identity) {
            if logged.as_ref() != Some(&holder) {
                tracing::info!(lease = %self.name, "standing by; {holder} leads");
                *logged = Some(holder);
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
        self.acquired(self.api.replace(&self.name, &PostParams::default(), &next).await)
    }

    /// Returns the Lease, or none if another candidate was faster.
    fn acquired(&self, outcome: Result<Lease, kube::Error>) -> Result<Option<Lease>, kube::Error> {
        match outcome {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if is_taken(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renews the Lease until that fails for too long or another operator holds it; returns the
    /// cause.
    pub(super) async fn renew(&self, lease: &tokio::sync::Mutex<HeldLease>) -> String {
        loop {
            tokio::time::sleep(PERIOD).await;
            let mut held = lease.lock().await;
            let sent = Instant::now();
            let left = DEADLINE.saturating_sub(held.renewed.elapsed());
            if left.is_zero() {
                return format!("Lease {} could not be renewed for {} s", self.name, DEADLINE.as_secs());
            }
            let next = Lease { spec: Some(self.spec(held.lease.spec.as_ref())), metadata: held.lease.metadata.clone() };
            match tokio::time::timeout(
                left.min(REQUEST_TIMEOUT),
                self.api.replace(&self.name, &PostParams::default(), &next),
            )
            .await
            {
                Ok(Ok(lease)) => {
                    self.lease_guard.allow_until(sent, DEADLINE);
                    *held = HeldLease { lease, renewed: sent };
                }
                Ok(Err(error)) if classify(&error).is_absence() || is_taken(&error) => {
                    // It changed: either the answer to a renewal was lost, or another operator
                    // holds it.
                    match tokio::time::timeout(left.min(REQUEST_TIMEOUT), self.api.get_opt(&self.name)).await {
                        Ok(Ok(Some(lease))) if holds(&lease, &self.identity) => held.lease = lease,
                        Ok(Ok(_)) => return format!("Lease {} was acquired by another operator", self.name),
                        _ => {}
                    }
                }
                Ok(Err(error)) => tracing::warn!("Lease {} was not renewed: {}", self.name, error_message(&error)),
                Err(_) => tracing::warn!("Lease {} was not renewed: the API server does not answer", self.name),
            }
        }
    }

    /// Releases the Lease, so that another operator leads at once.
    pub(super) async fn release(&self, held: &HeldLease) {
        match tokio::time::timeout(REQUEST_TIMEOUT, self.released(held.lease.clone())).await {
            Ok(Ok(())) => tracing::info!(lease = %self.name, "released"),
            // It expires.
            Ok(Err(error)) => tracing::warn!("Lease {} could not be released: {}", self.name, error_message(&error)),
            Err(_) => tracing::warn!("Lease {} could not be released: the API server does not answer", self.name),
        }
    }

    /// Releases `lease`, or what became of it: a renewal that was under way when the operator was
    /// stopped may have changed it.
    async fn released(&self, mut lease: Lease) -> Result<(), kube::Error> {
        loop {
            let spec =
                LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), ..self.spec(lease.spec.as_ref()) };
            let next = Lease { spec: Some(spec), metadata: lease.metadata };
            match self.api.replace(&self.name, &PostParams::default(), &next).await {
                Err(error) if is_taken(&error) => match self.api.get_opt(&self.name).await? {
                    Some(current) if holds(&current, &self.identity) => lease = current,
                    _ => return Ok(()),
                },
                outcome => return outcome.map(drop),
            }
        }
    }

    fn spec(&self, current: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = current.is_some_and(|spec| spec.holder_identity.as_ref() == Some(&self.identity));
        let transitions = current.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE.as_secs()).ok(),
            acquire_time: current.filter(|_| ours).and_then(|spec| spec.acquire_time.clone()).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours || current.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }
}

fn is_taken(error: &kube::Error) -> bool {
    matches!(classify(error), ApiFailure::AlreadyExists | ApiFailure::Changed)
}

fn holds(lease: &Lease, identity: &str) -> bool {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(identity)
}
