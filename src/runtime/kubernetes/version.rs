//! Versions that servers name. The kubelet probes the pods and does not pass the header on, so each
//! run of a container is asked once, in the background.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mai_contract::http::PORT;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::kind::Kind;
use super::live_object::LiveObject;
use crate::core::{InstanceId, Probe};
use crate::runtime::changes::Changes;
use crate::runtime::probe::{Answer, ask};

/// Requests under way at once: a new leader asks every server.
const CONCURRENCY: usize = 8;
/// Delays before the attempts. A NetworkPolicy takes a moment to admit the operator.
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(10)];

/// Versions of the running servers, by namespace and name of the instance.
pub(super) struct ServerVersions {
    known: Mutex<HashMap<Key, (String, ServerVersion)>>,
    permits: Semaphore,
    changes: Arc<Changes>,
}

type Key = (String, String);

/// Version of one run of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerVersion {
    /// It has not been asked, or has not answered yet.
    Unknown,
    /// It does not name one, or cannot be reached.
    Unnamed,
    /// The version it names.
    Named(String),
}

/// One run of the container of a server.
struct ContainerRun {
    id: String,
    address: SocketAddr,
}

impl ServerVersions {
    pub(super) fn new(changes: Arc<Changes>) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), permits: Semaphore::new(CONCURRENCY), changes })
    }

    /// Returns the version of the server that is ready. The first call for a run begins to ask it,
    /// where `probe` says how; when it has answered, the instance is named as changed.
    pub(super) fn get(self: &Arc<Self>, id: &InstanceId, live: &[LiveObject], probe: Option<&Probe>) -> ServerVersion {
        let Some(run) = live.iter().find_map(ready_run) else { return ServerVersion::Unknown };
        let mut known = self.known.lock();
        match (known.get(&key(id)), probe) {
            (Some((run_id, version)), _) if *run_id == run.id => return version.clone(),
            (_, None) => return ServerVersion::Unknown,
            (_, Some(_)) => {}
        }
        known.insert(key(id), (run.id.clone(), ServerVersion::Unknown));
        drop(known);
        tokio::spawn(Arc::clone(self).ask(id.clone(), run, probe.cloned()));
        ServerVersion::Unknown
    }

    /// Removes what is known of an instance.
    pub(super) fn forget(&self, id: &InstanceId) {
        self.known.lock().remove(&key(id));
    }

    async fn ask(self: Arc<Self>, id: InstanceId, run: ContainerRun, probe: Option<Probe>) {
        let Some(probe) = probe else { return };
        let mut version = ServerVersion::Unnamed;
        for delay in DELAYS {
            tokio::time::sleep(delay).await;
            let Ok(_permit) = self.permits.acquire().await else { return };
            match ask(run.address, &probe).await {
                Answer::Ready { version: Some(named) } => version = ServerVersion::Named(named),
                Answer::Ready { version: None } => {}
                Answer::NotReady { detail } => {
                    tracing::debug!(instance = id.log_name(), "its version is unknown: {detail}");
                    continue;
                }
            }
            break;
        }
        match self.known.lock().get_mut(&key(&id)) {
            Some((run_id, known)) if *run_id == run.id => *known = version,
            // Another run is being asked, or the instance is gone.
            _ => return,
        }
        self.changes.name(&InstanceId { uid: String::new(), ..id });
    }
}

fn key(id: &InstanceId) -> Key {
    (id.namespace.clone(), id.name.clone())
}

/// Returns the run of the server in a pod that is ready.
fn ready_run(pod: &LiveObject) -> Option<ContainerRun> {
    let ready = || pod.condition("Ready").is_some_and(|condition| condition["status"] == "True");
    if pod.kind != Kind::Pod || pod.is_being_deleted() || !ready() {
        return None;
    }
    let status = &pod.object["status"];
    let ip: IpAddr = status["podIP"].as_str()?.parse().ok()?;
    let id = status["containerStatuses"][0]["containerID"].as_str()?;
    Some(ContainerRun { id: id.to_owned(), address: SocketAddr::new(ip, PORT) })
}

/// Returns the address of the pod that is ready.
pub(super) fn ready_address(live: &[LiveObject]) -> Option<SocketAddr> {
    live.iter().find_map(ready_run).map(|run| run.address)
}

/// Returns the tag of an image, or the beginning of its digest.
pub(super) fn image_version(image: &str) -> Option<String> {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let tag = name.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag.to_owned());
    tag.or_else(|| digest.map(|digest| digest.chars().take(19).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(ready: &str, container: &str) -> LiveObject {
        let object = json!({
            "metadata": {"name": "mai-abc-1"},
            "status": {
                // Nothing listens there.
                "podIP": "127.0.0.1",
                "conditions": [{"type": "Ready", "status": ready}],
                "containerStatuses": [{"containerID": container}],
            },
        });
        LiveObject { kind: Kind::Pod, object, owned: Vec::new() }
    }

    #[tokio::test]
    async fn run_is_asked_once_and_never_without_a_probe() {
        let id = InstanceId { namespace: "n".into(), name: "abc".into(), uid: "u".into() };
        let probe =
            Probe { path: "/ready".to_owned(), interval: Duration::from_secs(1), timeout: Duration::from_millis(10) };
        let versions = ServerVersions::new(Arc::default());
        let runs = |versions: &ServerVersions| versions.known.lock().get(&key(&id)).map(|(run, _)| run.clone());
        versions.get(&id, &[pod("True", "a")], None);
        versions.get(&id, &[pod("False", "a")], Some(&probe));
        assert_eq!(runs(&versions), None);
        versions.get(&id, &[pod("True", "a")], Some(&probe));
        assert_eq!(runs(&versions).as_deref(), Some("a"));
        if let Some((_, version)) = versions.known.lock().get_mut(&key(&id)) {
            *version = ServerVersion::Named("1.2.3".to_owned());
        }
        assert_eq!(versions.get(&id, &[pod("True", "a")], Some(&probe)), ServerVersion::Named("1.2.3".to_owned()));
        assert_eq!(versions.get(&id, &[pod("True", "b")], Some(&probe)), ServerVersion::Unknown);
        assert_eq!(runs(&versions).as_deref(), Some("b"));
        versions.forget(&id);
        assert_eq!(runs(&versions), None);
    }

    #[test]
    fn image_version_is_its_tag_or_its_digest() {
        for (image, version) in [
            ("mai-production:1.4.0", Some("1.4.0")),
            ("registry.example.com:5000/mai", None),
            ("registry.example.com:5000/mai:2", Some("2")),
            ("mai@sha256:0123456789abcdef0123", Some("sha256:0123456789ab")),
            ("mai:3@sha256:0123", Some("3")),
        ] {
            assert_eq!(image_version(image).as_deref(), version, "{image}");
        }
    }
}
