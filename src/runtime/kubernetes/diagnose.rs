//! Why the server of an instance is not ready, in the words of the cluster.

use serde_json::Value;

use super::claim::{Refusals, covers, size};
use super::kind::Kind;
use super::live::Live;
use crate::core::{Cause, Component, ComponentKind, Fault};

/// What is known of a server that does not answer.
pub(super) struct Diagnosis {
    pub(super) fault: Fault,
    /// The end of the log of its last run, if that ended by itself. The kubelet puts it into the pod's status, so nobody needs the right
    /// to read logs. It may hold secrets.
    pub(super) last_words: Option<String>,
}

/// As the brain says it of its own step, so that nothing moves while the cluster takes it up.
const STARTING: &str = "the server is being started";
/// From this many ends of its server on it is called a crash loop.
const CRASH_LOOP: i64 = 2;

/// The cause for which `deployment` has no available pod.
pub(super) fn diagnose(deployment: &Live, live: &[Live]) -> Diagnosis {
    let simply =
        |cause, detail: &str| Diagnosis { fault: Fault { cause, detail: detail.to_owned() }, last_words: None };
    let (status, metadata) = (&deployment.object["status"], &deployment.object["metadata"]);
    if status["observedGeneration"].as_i64() < metadata["generation"].as_i64() {
        return simply(Cause::Starting, STARTING);
    }
    let pods: Vec<&Live> = live.iter().filter(|live| live.kind == Kind::Pod).collect();
    let newest = pods.iter().filter(|pod| !pod.is_leaving() && !is_over(pod)).max_by_key(|pod| pod.created());
    let Some(pod) = newest else {
        if let Some(failure) = deployment.condition("ReplicaFailure").filter(|condition| condition["status"] == "True")
        {
            let said = text(&failure["message"]);
            return simply(Cause::Refused, &format!("its pod is refused: {said}"));
        }
        let detail = if pods.is_empty() { STARTING } else { "its former pod is ending" };
        return simply(Cause::Starting, detail);
    };
    if let Some(waiting) = pod.condition("PodScheduled").filter(|condition| condition["status"] == "False") {
        let said = text(&waiting["message"]);
        let pending = pending_claims(live);
        if !pending.is_empty() && said.contains("PersistentVolumeClaim") {
            return simply(
                Cause::VolumePending,
                &format!("not bound: {}; the scheduler says: {said}", pending.join(", ")),
            );
        }
        return simply(Cause::Unschedulable, &format!("no node takes its pod: {said}"));
    }
    let container = &pod.object["status"]["containerStatuses"][0];
    let restarts = container["restartCount"].as_i64().unwrap_or_default();
    let end = last_end(container);
    let waiting = &container["state"]["waiting"];
    let said = text(&waiting["message"]);
    let fault = match text(&waiting["reason"]) {
        "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => {
            Fault { cause: Cause::ImageUnavailable, detail: format!("its image cannot be had: {said}") }
        }
        "ErrImagePull" => Fault { cause: Cause::Starting, detail: format!("its image is being pulled: {said}") },
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Fault { cause: Cause::Refused, detail: format!("its container cannot be started: {said}") }
        }
        reason if end.is_some() => {
            let how = how_it_ended(end);
            let looping = reason == "CrashLoopBackOff" || restarts >= CRASH_LOOP;
            Fault {
                cause: if looping { Cause::CrashLoop } else { Cause::Starting },
                detail: format!("{how} and is started again ({restarts} so far)"),
            }
        }
        _ if container["started"] == true => {
            Fault { cause: Cause::Unhealthy, detail: "it runs and does not answer its readiness probe".to_owned() }
        }
        _ => Fault { cause: Cause::Starting, detail: "the server was started and is not ready yet".to_owned() },
    };
    let end = end.filter(|_| matches!(fault.cause, Cause::CrashLoop | Cause::Starting));
    Diagnosis { fault, last_words: end.and_then(|end| end["message"].as_str()).map(str::to_owned) }
}

/// Whether a node has a pod that it does not run yet, or not again.
pub(super) fn is_being_started(live: &[Live]) -> bool {
    let is_scheduled =
        |pod: &Live| pod.condition("PodScheduled").is_some_and(|condition| condition["status"] == "True");
    let runs = |pod: &Live| pod.object["status"]["containerStatuses"][0]["state"]["running"].is_object();
    live.iter().any(|live| live.kind == Kind::Pod && !live.is_leaving() && is_scheduled(live) && !runs(live))
}

/// Whether a pod has ended for good, as an evicted one has.
fn is_over(pod: &Live) -> bool {
    matches!(pod.object["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

/// One of them may only be waiting for a pod; which, the scheduler does not say.
fn pending_claims(live: &[Live]) -> Vec<&str> {
    let pending =
        |live: &&Live| live.kind == Kind::PersistentVolumeClaim && live.object["status"]["phase"] == "Pending";
    live.iter().filter(pending).map(Live::name).collect()
}

/// How the last run of a container ended, if any has.
fn last_end(container: &Value) -> Option<&Value> {
    [&container["state"]["terminated"], &container["lastState"]["terminated"]].into_iter().find(|end| end.is_object())
}

fn how_it_ended(end: Option<&Value>) -> String {
    let Some(end) = end else { return "the server ended".to_owned() };
    match (text(&end["reason"]), end["exitCode"].as_i64()) {
        ("OOMKilled", _) => "the server used more memory than resources.limits.memory allows".to_owned(),
        (_, Some(code)) => format!("the server ended with exit code {code}"),
        (reason, None) => format!("the server ended ({reason})"),
    }
}

/// How the volumes stand; `refused` is what the cluster said when some were to grow.
pub(super) fn storage(live: &[Live], refused: &Refusals) -> Component {
    let claims = live.iter().filter(|live| live.kind == Kind::PersistentVolumeClaim);
    let pending = pending_claims(live).join(", ");
    let mut faults = claims.filter_map(|claim| {
        let fault = |cause, detail| Some(Fault { cause, detail });
        match claim.object["status"]["phase"].as_str() {
            Some("Bound") => {}
            Some("Lost") => {
                return fault(Cause::VolumePending, format!("{} lost its volume", claim.name()));
            }
            // One that is bound when its first pod comes waits for nothing else.
            _ => return fault(Cause::VolumePending, format!("not bound yet: {pending}")),
        }
        let resizing = ["FileSystemResizePending", "Resizing", "ControllerResizeError", "NodeResizeError"];
        let condition = resizing.iter().find_map(|kind| claim.condition(kind))?;
        fault(
            Cause::ResizeFailed,
            format!("{} is to grow: {} {}", claim.name(), text(&condition["type"]), text(&condition["message"])),
        )
    });
    let is_smaller = |name: &str, wanted: &str| {
        let claim = live.iter().find(|live| live.kind == Kind::PersistentVolumeClaim && live.name() == name);
        claim.and_then(|claim| size(&claim.object)).is_some_and(|has| !covers(has, wanted))
    };
    let refused = refused.iter().filter(|(name, refusal)| is_smaller(name, &refusal.size));
    let refused = refused.map(|(_, refusal)| refusal.said.as_str()).collect::<Vec<_>>().join("; ");
    let refused = (!refused.is_empty()).then_some(Fault { cause: Cause::ResizeFailed, detail: refused });
    Component { kind: ComponentKind::Storage, fault: refused.or_else(|| faults.next()) }
}

/// Whether the declared way in is served, where one is declared.
pub(super) fn exposure(live: &[Live], wanted: Option<Kind>, missing: Option<String>) -> Option<Component> {
    let wanted = wanted?;
    let not_accepted = |detail| Some(Fault { cause: Cause::NotAccepted, detail });
    let fault = match (missing, live.iter().find(|live| live.kind == wanted)) {
        (Some(missing), _) => not_accepted(missing),
        (None, None) => not_accepted(format!("its {} is not there yet", wanted.as_str())),
        (None, Some(route)) if wanted == Kind::HttpRoute => route_fault(route),
        // What serves an Ingress does not have to say so.
        (None, Some(_)) => None,
    };
    Some(Component { kind: ComponentKind::Exposure, fault })
}

fn route_fault(route: &Live) -> Option<Fault> {
    let parents = route.object["status"]["parents"].as_array();
    let Some(parent) = parents.and_then(|parents| parents.first()) else {
        return Some(Fault {
            cause: Cause::NotAccepted,
            detail: "no Gateway has taken up its HTTPRoute yet".to_owned(),
        });
    };
    let accepted = parent["conditions"].as_array()?.iter().find(|condition| condition["type"] == "Accepted")?;
    (accepted["status"] != "True").then(|| Fault {
        cause: Cause::NotAccepted,
        detail: format!("its Gateway refuses the HTTPRoute: {}", text(&accepted["message"])),
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(scheduled: &str, state: &Value, leaving: Option<&str>) -> Live {
        let object = json!({
            "metadata": {"name": "mai-abc-1", "deletionTimestamp": leaving},
            "status": {
                "conditions": [{"type": "PodScheduled", "status": scheduled}],
                "containerStatuses": [{"state": state}],
            },
        });
        Live { kind: Kind::Pod, object }
    }

    #[test]
    fn only_a_pod_that_a_node_has_and_does_not_run_is_being_started() {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let failing = json!({"waiting": {"reason": "CreateContainerConfigError"}});
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        for (scheduled, state, leaving, expected) in [
            ("True", &creating, None, true),
            ("True", &failing, None, true),
            ("True", &Value::Null, None, true),
            ("False", &Value::Null, None, false),
            ("True", &running, None, false),
            ("True", &creating, Some("2026-01-01T00:00:00Z"), false),
        ] {
            let found = is_being_started(&[pod(scheduled, state, leaving)]);
            assert_eq!(found, expected, "scheduled {scheduled}, {state}, leaving {leaving:?}");
        }
        assert!(!is_being_started(&[]));
    }
}
