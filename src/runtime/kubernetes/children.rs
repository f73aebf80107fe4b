//! Everything a workload asks a cluster for, in the order in which it is applied.

use std::collections::BTreeSet;

use serde_json::Value;

use super::claim::{Refusals, claim, size};
use super::disruption_budget::disruption_budget;
use super::http_route::http_route;
use super::ingress::ingress;
use super::kind::Kind;
use super::live::Live;
use super::network_policy::network_policy;
use super::service::service;
use super::service_account::service_account;
use crate::cluster::names;
use crate::core::Workload;

/// Every object of a workload but its Deployment and its Secrets. `live` is what is there, since a claim never shrinks, and `refused`
/// says which do not grow either.
pub(super) fn children(
    workload: &Workload,
    live: &[Live],
    refused: &Refusals,
    entrances: &BTreeSet<String>,
) -> Vec<(Kind, Value)> {
    let id = &workload.id;
    let claims = [(&workload.cluster.data, names::data(id)), (&workload.cluster.backups, names::backups(id))];
    let claims = claims.into_iter().filter(|(declared, _)| declared.existing.is_none()).map(|(declared, name)| {
        let standing = live.iter().find(|live| live.kind == Kind::PersistentVolumeClaim && live.name() == name);
        let standing = standing.and_then(|live| size(&live.object));
        (Kind::PersistentVolumeClaim, claim(id, &name, declared, standing, refused.get(&name)))
    });
    let mut all = vec![(Kind::ServiceAccount, service_account(workload))];
    all.extend(claims);
    all.extend([
        (Kind::Service, service(workload)),
        (Kind::NetworkPolicy, network_policy(workload, entrances)),
        (Kind::PodDisruptionBudget, disruption_budget(workload)),
    ]);
    all.extend(ingress(workload).map(|object| (Kind::Ingress, object)));
    all.extend(http_route(workload).map(|object| (Kind::HttpRoute, object)));
    all
}
