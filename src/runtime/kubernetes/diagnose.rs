//! Faults of an instance, in the words of the cluster.

use serde_json::Value;

use super::claim::{Refusals, covers, requested_size};
use super::kind::Kind;
use super::live_object::LiveObject;
use super::scheduling::waits_for_claim;
use crate::core::{Cause, Component, ComponentKind, Fault};
use mai_contract::ExitCode;

/// Cause for which a server is not ready.
pub(super) struct Diagnosis {
    pub(super) fault: Fault,
    /// End of the log of its last run, if that ended by itself. The kubelet puts it into the pod's
    /// status, so no permission to read logs is needed. It may contain secrets.
    pub(super) log_tail: Option<String>,
}

/// The same text as that of the action, so that the status does not change while the cluster
/// applies it.
const STARTING: &str = "the server is being started";
/// Label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Restarts from which it is a crash loop.
const CRASH_LOOP: i64 = 2;

/// Returns the cause for which `deployment` has no available pod.
pub(super) fn diagnose(deployment: &LiveObject, live: &[LiveObject]) -> Diagnosis {
    let fault_only =
        |cause, detail: &str| Diagnosis { fault: Fault { cause, detail: detail.to_owned() }, log_tail: None };
    let (status, metadata) = (&deployment.object["status"], &deployment.object["metadata"]);
    if status["observedGeneration"].as_i64() < metadata["generation"].as_i64() {
        return fault_only(Cause::Starting, STARTING);
    }
    let pods: Vec<&LiveObject> = live.iter().filter(|live| live.kind == Kind::Pod).collect();
    let newest = pods.iter().filter(|pod| !pod.is_being_deleted() && !has_ended(pod)).max_by_key(|pod| pod.created());
    let Some(pod) = newest else {
        if let Some(failure) = deployment.condition("ReplicaFailure").filter(|condition| condition["status"] == "True")
        {
            let message = text(&failure["message"]);
            return fault_only(Cause::Refused, &format!("its pod is refused: {message}"));
        }
        let detail = if pods.is_empty() { STARTING } else { "its former pod is ending" };
        return fault_only(Cause::Starting, detail);
    };
    if let Some(waiting) = pod.condition("PodScheduled").filter(|condition| condition["status"] == "False") {
        let message = text(&waiting["message"]);
        let pending = pending_claims(live);
        if !pending.is_empty() && waits_for_claim(message) {
            return fault_only(
                Cause::VolumePending,
                &format!("not bound: {}; the scheduler says: {message}", pending.join(", ")),
            );
        }
        return fault_only(Cause::Unschedulable, &format!("no node takes its pod: {message}"));
    }
    let container = &pod.object["status"]["containerStatuses"][0];
    let restarts = container["restartCount"].as_i64().unwrap_or_default();
    let end = last_termination(container);
    let waiting = &container["state"]["waiting"];
    let message = text(&waiting["message"]);
    let fault = match text(&waiting["reason"]) {
        "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => Fault {
            cause: Cause::ImageUnavailable,
            detail: format!("its image could not be pulled: {message}; correct spec.image or spec.imagePullSecrets"),
        },
        "ErrImagePull" => Fault { cause: Cause::Starting, detail: format!("its image is being pulled: {message}") },
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Fault { cause: Cause::Refused, detail: format!("its container cannot be started: {message}") }
        }
        reason if end.is_some() => {
            let description = describe_end(end);
            let looping = reason == "CrashLoopBackOff" || restarts >= CRASH_LOOP;
            let cause = match exit_code(end) {
                Some(ExitCode::DataTooNew) => Cause::DataTooNew,
                _ if looping => Cause::CrashLoop,
                _ => Cause::Restarting,
            };
            Fault { cause, detail: format!("{description} and is restarted ({restarts} times so far)") }
        }
        _ if container["started"] == true => {
            Fault { cause: Cause::Unhealthy, detail: "it runs and does not answer its readiness probe".to_owned() }
        }
        _ => Fault { cause: Cause::Starting, detail: "the server was started and is not ready yet".to_owned() },
    };
    let end = end.filter(|_| matches!(fault.cause, Cause::CrashLoop | Cause::DataTooNew | Cause::Restarting));
    Diagnosis { fault, log_tail: end.and_then(|end| end["message"].as_str()).map(str::to_owned) }
}

/// Returns why nobody reaches a server that is available: its Service has no endpoint that is ready.
pub(super) fn missing_endpoints(live: &[LiveObject]) -> Option<Fault> {
    let service = live.iter().find(|live| live.kind == Kind::Service)?;
    let is_of_service = |slice: &&LiveObject| slice.label(SERVICE_NAME) == Some(service.name());
    let mut slices = live.iter().filter(|live| live.kind == Kind::EndpointSlice).filter(is_of_service);
    // Absent means unknown, which counts as ready.
    let is_ready = |endpoint: &Value| endpoint["conditions"]["ready"] != false;
    if slices.any(|slice| slice.object["endpoints"].as_array().into_iter().flatten().any(is_ready)) {
        return None;
    }
    let name = service.name();
    let detail = format!(
        "its pod is ready, and Service {name} has no endpoint, so nobody reaches it; look at `kubectl get endpointslices -l {SERVICE_NAME}={name}`, at the labels of its pod, and at kube-controller-manager"
    );
    Some(Fault { cause: Cause::NoEndpoints, detail })
}

/// Returns whether a pod is on a node and does not run.
pub(super) fn is_starting(live: &[LiveObject]) -> bool {
    let is_scheduled =
        |pod: &LiveObject| pod.condition("PodScheduled").is_some_and(|condition| condition["status"] == "True");
    let runs = |pod: &LiveObject| pod.object["status"]["containerStatuses"][0]["state"]["running"].is_object();
    live.iter().any(|live| live.kind == Kind::Pod && !live.is_being_deleted() && is_scheduled(live) && !runs(live))
}

/// Returns whether a pod has ended for good, as an evicted one has.
fn has_ended(pod: &LiveObject) -> bool {
    matches!(pod.object["status"]["phase"].as_str(), Some("Failed" | "Succeeded"))
}

/// Returns the names of the pending claims. One may only be waiting for a pod; the scheduler does
/// not say which.
fn pending_claims(live: &[LiveObject]) -> Vec<&str> {
    let pending =
        |live: &&LiveObject| live.kind == Kind::PersistentVolumeClaim && live.object["status"]["phase"] == "Pending";
    live.iter().filter(pending).map(LiveObject::name).collect()
}

/// Returns the end of the last run of a container.
fn last_termination(container: &Value) -> Option<&Value> {
    [&container["state"]["terminated"], &container["lastState"]["terminated"]].into_iter().find(|end| end.is_object())
}

fn exit_code(end: Option<&Value>) -> Option<ExitCode> {
    let code = end?["exitCode"].as_i64()?;
    ExitCode::from_code(i32::try_from(code).ok()?)
}

fn describe_end(end: Option<&Value>) -> String {
    let Some(end) = end else { return "the server ended".to_owned() };
    match (text(&end["reason"]), end["exitCode"].as_i64()) {
        ("OOMKilled", _) => "the server used more memory than resources.limits.memory allows".to_owned(),
        (_, Some(code)) => format!("the server ended with exit code {code}"),
        (reason, None) => format!("the server ended ({reason})"),
    }
}

/// Returns the state of the volumes. `refusals` are those of sizes that are declared.
pub(super) fn storage(live: &[LiveObject], refusals: &Refusals) -> Component {
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
            format!("{} is being enlarged: {} {}", claim.name(), text(&condition["type"]), text(&condition["message"])),
        )
    });
    let is_smaller = |name: &str, wanted: &str| {
        let claim = live.iter().find(|live| live.kind == Kind::PersistentVolumeClaim && live.name() == name);
        claim.and_then(|claim| requested_size(&claim.object)).is_some_and(|size| !covers(size, wanted))
    };
    let refused = refusals.iter().filter(|(name, refusal)| is_smaller(name, &refusal.size));
    let refused = refused.map(|(_, refusal)| refusal.message.as_str()).collect::<Vec<_>>().join("; ");
    let refused = (!refused.is_empty()).then_some(Fault { cause: Cause::ResizeFailed, detail: refused });
    Component { kind: ComponentKind::Storage, fault: refused.or_else(|| faults.next()) }
}

/// Returns the state of the declared Ingress or route, if one is declared.
pub(super) fn exposure(live: &[LiveObject], wanted: Option<Kind>, missing: Option<String>) -> Option<Component> {
    let wanted = wanted?;
    let not_accepted = |detail| Some(Fault { cause: Cause::NotAccepted, detail });
    let fault = match (missing, live.iter().find(|live| live.kind == wanted)) {
        (Some(missing), _) => not_accepted(missing),
        (None, None) => not_accepted(format!("its {} is not there yet", wanted.as_str())),
        (None, Some(route)) if wanted == Kind::HttpRoute => route_fault(route),
        // The controller of an Ingress does not have to report it.
        (None, Some(_)) => None,
    };
    Some(Component { kind: ComponentKind::Exposure, fault })
}

fn route_fault(route: &LiveObject) -> Option<Fault> {
    let parents = route.object["status"]["parents"].as_array();
    let Some(parent) = parents.and_then(|parents| parents.first()) else {
        return Some(Fault {
            cause: Cause::NotAccepted,
            detail: "no Gateway has accepted its HTTPRoute yet".to_owned(),
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

    fn pod(scheduled: &str, state: &Value, deleted: Option<&str>) -> LiveObject {
        let object = json!({
            "metadata": {"name": "mai-abc-1", "deletionTimestamp": deleted},
            "status": {
                "conditions": [{"type": "PodScheduled", "status": scheduled}],
                "containerStatuses": [{"state": state}],
            },
        });
        LiveObject { kind: Kind::Pod, object, owned: Vec::new() }
    }

    #[test]
    fn end_is_told_by_its_exit_code_and_how_often_it_came() {
        let deployment = LiveObject { kind: Kind::Deployment, object: json!({}), owned: Vec::new() };
        for (code, restarts, cause) in [
            (1, 1, Cause::Restarting),
            (1, 2, Cause::CrashLoop),
            (65, 1, Cause::DataTooNew),
            (65, 9, Cause::DataTooNew),
        ] {
            let mut pod = pod("True", &json!({"terminated": {"exitCode": code}}), None);
            pod.object["status"]["containerStatuses"][0]["restartCount"] = json!(restarts);
            let fault = diagnose(&deployment, &[pod]).fault;
            let expected = format!("the server ended with exit code {code} and is restarted ({restarts} times so far)");
            assert_eq!((fault.cause, fault.detail), (cause, expected));
        }
    }

    #[test]
    fn service_without_a_ready_endpoint_is_a_fault() {
        let object = |kind, object| LiveObject { kind, object, owned: Vec::new() };
        let service = || object(Kind::Service, json!({"metadata": {"name": "mai-abc"}}));
        let slice = |of: &str, endpoints: Value| {
            let metadata = json!({"name": "mai-abc-1", "labels": {"kubernetes.io/service-name": of}});
            object(Kind::EndpointSlice, json!({"metadata": metadata, "endpoints": endpoints}))
        };
        let ready = |ready: Value| json!([{"conditions": {"ready": ready}}]);
        for (name, slices, is_fault) in [
            ("no slice", vec![], true),
            ("an empty one", vec![slice("mai-abc", Value::Null)], true),
            ("not ready", vec![slice("mai-abc", ready(json!(false)))], true),
            ("of another Service", vec![slice("other", ready(json!(true)))], true),
            ("ready", vec![slice("mai-abc", ready(json!(true)))], false),
            ("unknown", vec![slice("mai-abc", ready(Value::Null))], false),
            ("the second one", vec![slice("mai-abc", json!([])), slice("mai-abc", ready(json!(true)))], false),
        ] {
            let live: Vec<LiveObject> = slices.into_iter().chain([service()]).collect();
            let fault = missing_endpoints(&live);
            assert_eq!(fault.as_ref().map(|fault| fault.cause), is_fault.then_some(Cause::NoEndpoints), "{name}");
            assert!(fault.is_none_or(|fault| fault.detail.contains("Service mai-abc has no endpoint")));
        }
        assert_eq!(missing_endpoints(&[]), None, "a Service that is missing is created");
    }

    #[test]
    fn pod_on_a_node_that_does_not_run_is_starting() {
        let creating = json!({"waiting": {"reason": "ContainerCreating"}});
        let failing = json!({"waiting": {"reason": "CreateContainerConfigError"}});
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        for (scheduled, state, deleted, expected) in [
            ("True", &creating, None, true),
            ("True", &failing, None, true),
            ("True", &Value::Null, None, true),
            ("False", &Value::Null, None, false),
            ("True", &running, None, false),
            ("True", &creating, Some("2026-01-01T00:00:00Z"), false),
        ] {
            let found = is_starting(&[pod(scheduled, state, deleted)]);
            assert_eq!(found, expected, "scheduled {scheduled}, {state}, deleted {deleted:?}");
        }
        assert!(!is_starting(&[]));
    }
}
