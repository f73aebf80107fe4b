//! The objects of a workload, in the order in which they are applied.

use serde_json::Value;

use super::claim::{Refusals, claim, declared_claims, requested_size};
use super::disruption_budget::disruption_budget;
use super::http_route::http_route;
use super::ingress::ingress;
use super::kind::Kind;
use super::live_object::LiveObject;
use super::network_policy::{Peers, network_policy};
use super::service::service;
use super::service_account::service_account;
use crate::core::Workload;

/// Returns every object of a workload but its Deployment and its Secrets. A claim keeps the size
/// that it has in `live` where that is larger, or where `refusals` has the declared one.
pub(super) fn children(
    workload: &Workload,
    live: &[LiveObject],
    refusals: &Refusals,
    peers: &Peers,
) -> Vec<(Kind, Value)> {
    let claims = declared_claims(workload).map(|(name, declared)| {
        let existing = live.iter().find(|live| live.kind == Kind::PersistentVolumeClaim && live.name() == name);
        let size = existing.and_then(|live| requested_size(&live.object));
        let refused = refusals.contains_key(&name);
        (Kind::PersistentVolumeClaim, claim(&workload.id, &name, declared, size, refused))
    });
    let mut all = vec![(Kind::ServiceAccount, service_account(workload))];
    all.extend(claims);
    all.extend([
        (Kind::Service, service(workload)),
        (Kind::NetworkPolicy, network_policy(workload, peers)),
        (Kind::PodDisruptionBudget, disruption_budget(workload)),
    ]);
    all.extend(ingress(workload).map(|object| (Kind::Ingress, object)));
    all.extend(http_route(workload).map(|object| (Kind::HttpRoute, object)));
    all
}
