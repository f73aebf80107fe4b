//! Requests for backups that match no instance. A request whose instance exists is answered by the
//! reconciliation of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::ClusterContext;
use super::http::Health;
use crate::api::MaiInstance;
use crate::runtime::kubernetes::OpenRequest;

/// Interval between checks, which cost no request.
const INTERVAL: Duration = Duration::from_secs(2);
/// Age from which a request is checked: its instance is often applied together with it.
const AGE: SignedDuration = SignedDuration::from_secs(5);

/// Shows in each request that matches no instance why it is not started.
pub(super) async fn report_unmatched(context: Arc<ClusterContext>, health: Arc<Health>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let open = context.runtime.open_requests();
        if open.is_empty() || !health.is_listed() {
            continue;
        }
        let instances = health.instances.all();
        let now = Timestamp::now();
        for request in open.iter().filter(|request| now.duration_since(request.created) >= AGE) {
            if let Some((reason, message)) = obstacle(request, &instances) {
                context.runtime.set_stalled(request, reason, message).await;
            }
        }
    }
}

/// Returns why a request cannot be started, with the reason of the condition.
fn obstacle(request: &OpenRequest, instances: &[Arc<MaiInstance>]) -> Option<(&'static str, String)> {
    let OpenRequest { namespace, instance, .. } = request;
    let is_it = |found: &&Arc<MaiInstance>| {
        found.metadata.namespace.as_ref() == Some(namespace) && found.name_any() == *instance
    };
    match instances.iter().find(is_it) {
        None => Some((
            "InstanceMissing",
            format!(
                "there is no MaiInstance {instance} in namespace {namespace}; correct the name in another MaiBackup, or create the instance"
            ),
        )),
        Some(found) if found.metadata.deletion_timestamp.is_some() => {
            Some(("InstanceDeleted", format!("MaiInstance {instance} is being deleted, so no backup of it is made")))
        }
        Some(_) => None,
    }
}
