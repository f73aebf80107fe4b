//! Requests for backups and restores: why one is not started, and how far a restore is. The end of
//! one is told by the reconciliation of its instance.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::ClusterContext;
use super::http::Health;
use crate::api::{MaiInstance, PAUSED};
use crate::core::InstanceId;
use crate::runtime::kubernetes::{OpenRequest, RequestedWork};

/// Interval between checks, which cost no request.
const INTERVAL: Duration = Duration::from_millis(500);
/// Age from which a request is checked: its instance is often applied together with it.
const AGE: SignedDuration = SignedDuration::from_secs(5);

/// Shows in each open request why it is not started, or how far its restore is.
pub(super) async fn report(context: Arc<ClusterContext>, health: Arc<Health>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let open = context.runtime.open_requests();
        if open.is_empty() || !health.is_listed() {
            continue;
        }
        let instances = health.instances.all();
        let now = Timestamp::now();
        for request in open {
            let instance = instances.iter().find(|instance| is_of(&request, instance));
            if let Some(restore) = instance.and_then(|instance| instance.status.as_ref()?.restore.as_ref()) {
                let id = InstanceId {
                    namespace: request.namespace.clone(),
                    name: request.instance.clone(),
                    uid: String::new(),
                };
                context.runtime.show_restore(&id, restore).await;
            }
            if now.duration_since(request.created) < AGE {
                continue;
            }
            if request.is_begun {
                // Its progress is shown. What is made under that name later is another instance.
                if instance.is_none() {
                    let message = format!("MaiInstance {} was removed before it ended", request.instance);
                    context.runtime.fail_request(&request, message).await;
                }
                continue;
            }
            if let Some((reason, message)) = obstacle(&request, instance) {
                context.runtime.set_stalled(&request, reason, message).await;
            }
        }
    }
}

fn is_of(request: &OpenRequest, instance: &MaiInstance) -> bool {
    instance.metadata.namespace.as_ref() == Some(&request.namespace) && instance.name_any() == request.instance
}

/// Returns why a request cannot be started, with the reason of the condition.
fn obstacle(request: &OpenRequest, instance: Option<&Arc<MaiInstance>>) -> Option<(&'static str, String)> {
    let (OpenRequest { namespace, instance: name, .. }, kind) = (request, request.work.kind());
    let nothing_done = match request.work {
        RequestedWork::Backup => "no backup of it is made",
        RequestedWork::Restore => "its data is not restored",
    };
    let Some(instance) = instance else {
        return Some((
            "InstanceMissing",
            format!(
                "there is no MaiInstance {name} in namespace {namespace}; correct the name in another {kind}, or create the instance"
            ),
        ));
    };
    if instance.metadata.deletion_timestamp.is_some() {
        return Some(("InstanceDeleted", format!("MaiInstance {name} is being deleted, so {nothing_done}")));
    }
    instance.annotations().get(PAUSED).filter(|value| *value == "true").map(|_| {
        ("InstancePaused", format!("MaiInstance {name} is paused, so {nothing_done}; remove its annotation {PAUSED}"))
    })
}
