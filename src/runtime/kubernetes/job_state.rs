//! State of a job, from its Job and its pod as the watches show them.

use jiff::{SignedDuration, Timestamp};
use mai_contract::job::{Message, Outcome};
use serde_json::Value;

use super::job::MEMORY;
use super::kind::Kind;
use super::live_object::LiveObject;
use crate::core::JobState;

/// Time after which a pod that has not started will not start.
pub(super) const START_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// State of a job as far as its objects show it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shown {
    /// It is known.
    State(JobState),
    /// The cluster has not created its pod. Its events may say why.
    WithoutPod,
}

/// Returns the state of a job. `objects` are those of its instance's jobs.
pub(super) fn state(job: &LiveObject, objects: &[LiveObject], now: Timestamp) -> Shown {
    let of_job = |live: &&LiveObject| {
        let owners = live.object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        live.kind == Kind::Pod && owners.into_iter().any(|owner| owner["uid"] == job.uid())
    };
    let pod = objects.iter().filter(of_job).max_by_key(|pod| pod.created());
    if let Some(state) = pod.and_then(|pod| pod_state(pod, now)) {
        return Shown::State(state);
    }
    let ended = |kind: &str| job.condition(kind).filter(|condition| condition["status"] == "True");
    // The two watches are not in step: the end of a pod that is there is still to come.
    match (pod, ended("Failed"), ended("Complete")) {
        (Some(pod), _, _) if !pod.is_being_deleted() => running(),
        (_, Some(failed), _) => lost(failure(failed)),
        (None, None, Some(_)) => lost("its pod was removed before its outcome was read"),
        (None, None, None) => Shown::WithoutPod,
        _ => running(),
    }
}

fn running() -> Shown {
    Shown::State(JobState::Running { progress: None })
}

fn lost(cause: impl Into<String>) -> Shown {
    Shown::State(JobState::Lost(cause.into()))
}

/// Returns the cause of a Job that failed and whose pod does not say more.
fn failure(condition: &Value) -> String {
    match text(&condition["reason"]) {
        // The only pod is gone.
        "BackoffLimitExceeded" => "its pod was deleted while it ran".to_owned(),
        "DeadlineExceeded" => "it ran longer than a day and was ended".to_owned(),
        reason => format!("its Job failed ({reason}): {}", text(&condition["message"])),
    }
}

/// Returns the state that a pod shows; none while it runs or may still start.
fn pod_state(pod: &LiveObject, now: Timestamp) -> Option<JobState> {
    let status = &pod.object["status"];
    let container = &status["containerStatuses"][0];
    let ended = &container["state"]["terminated"];
    let disruption = ended.is_object().then(|| disruption(pod)).flatten();
    match (outcome(text(&ended["message"])), disruption) {
        // It was told to stop and does not know why.
        (Some(Outcome::Failed { message }), Some(cause)) => {
            return Some(JobState::Lost(format!("{cause}; it says: {message}")));
        }
        (Some(outcome), _) => return Some(JobState::Ended(outcome)),
        (None, Some(cause)) => return Some(JobState::Lost(cause)),
        (None, None) if ended.is_object() => return Some(JobState::Lost(termination(ended))),
        (None, None) => {}
    }
    if text(&status["reason"]) == "Evicted" {
        return Some(JobState::Lost(evicted(&status["message"])));
    }
    if status["phase"] == "Failed" {
        let (reason, message) = (text(&status["reason"]), text(&status["message"]));
        return Some(JobState::Lost(format!("its pod failed ({reason}): {message}")));
    }
    let waiting = &container["state"]["waiting"];
    let message = text(&waiting["message"]);
    let cause = match text(&waiting["reason"]) {
        "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => Some(format!(
            "its image could not be pulled: {message}; correct helperImage of the operator, or imagePullSecrets of the instance"
        )),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some(format!("its container cannot be started: {message}"))
        }
        reason => not_started(pod, reason, now),
    };
    cause.map(JobState::Lost)
}

/// Returns the cause for which a pod has not started for a long time.
fn not_started(pod: &LiveObject, waiting: &str, now: Timestamp) -> Option<String> {
    let runs = pod.object["status"]["containerStatuses"][0]["state"]["running"].is_object();
    let age = pod.created().map(|created| now.duration_since(created))?;
    if runs || age < START_PATIENCE {
        return None;
    }
    let minutes = START_PATIENCE.as_mins();
    if let Some(condition) = pod.condition("PodScheduled").filter(|condition| condition["status"] == "False") {
        return Some(format!("no node took its pod for {minutes} minutes: {}", text(&condition["message"])));
    }
    Some(format!(
        "its pod did not start for {minutes} minutes ({waiting}); `kubectl describe pod {}` of the next one says why",
        pod.name()
    ))
}

/// Returns who ended a pod, if it did not end by itself.
fn disruption(pod: &LiveObject) -> Option<String> {
    let status = &pod.object["status"];
    if let Some(condition) = pod.condition("DisruptionTarget").filter(|condition| condition["status"] == "True") {
        return Some(evicted(&condition["message"]));
    }
    if text(&status["reason"]) == "Evicted" {
        return Some(evicted(&status["message"]));
    }
    pod.is_being_deleted().then(|| "its pod was deleted while it ran".to_owned())
}

fn evicted(message: &Value) -> String {
    format!("its pod was evicted from its node: {}", text(message))
}

/// Returns how a container ended that left no outcome.
fn termination(ended: &Value) -> String {
    if text(&ended["reason"]) == "OOMKilled" {
        return format!("it used more memory than its limit of {MEMORY}");
    }
    let code = ended["exitCode"].as_i64().unwrap_or_default();
    format!("it ended with exit code {code} and without an outcome")
}

/// Returns the outcome in a termination message: its last line.
fn outcome(message: &str) -> Option<Outcome> {
    match serde_json::from_str(message.lines().rfind(|line| !line.trim().is_empty())?).ok()? {
        Message::Outcome(outcome) => Some(outcome),
        Message::Progress(_) => None,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const CREATED: &str = "2026-11-30T02:00:00Z";

    fn job(conditions: &Value) -> LiveObject {
        let object = json!({
            "metadata": {"name": "mai-abc-1", "uid": "job", "creationTimestamp": CREATED},
            "status": {"conditions": conditions},
        });
        LiveObject { kind: Kind::Job, object, owned: Vec::new() }
    }

    fn pod(deleted: bool, status: &Value) -> LiveObject {
        let object = json!({
            "metadata": {
                "name": "mai-abc-1-x", "creationTimestamp": CREATED, "ownerReferences": [{"uid": "job"}],
                "deletionTimestamp": deleted.then_some(CREATED),
            },
            "status": status,
        });
        LiveObject { kind: Kind::Pod, object, owned: Vec::new() }
    }

    fn container(state: &Value) -> Value {
        json!({"phase": "Running", "containerStatuses": [{"state": state}]})
    }

    fn shown(job: &LiveObject, pods: &[LiveObject], minutes: i64) -> Shown {
        let created: Timestamp = CREATED.parse().unwrap();
        state(job, pods, created + SignedDuration::from_mins(minutes))
    }

    #[test]
    fn outcome_is_read_from_the_termination_message() {
        let outcome = Outcome::Failed { message: "the volume is full".to_owned() };
        let line = serde_json::to_string(&Message::Outcome(outcome.clone())).unwrap();
        let ended = container(&json!({"terminated": {"exitCode": 1, "message": format!("{line}\n")}}));
        for conditions in [json!([]), json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}])] {
            let found = shown(&job(&conditions), &[pod(false, &ended)], 1);
            assert_eq!(found, Shown::State(JobState::Ended(outcome.clone())));
        }
        let cause = "its pod was deleted while it ran; it says: the volume is full".to_owned();
        assert_eq!(shown(&job(&json!([])), &[pod(true, &ended)], 1), Shown::State(JobState::Lost(cause)));
    }

    #[test]
    fn job_without_an_outcome_is_lost_for_a_cause_in_words() {
        let unscheduled = json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."},
        ]});
        let pulling =
            container(&json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}));
        let failed = |reason: &str| json!([{"type": "Failed", "status": "True", "reason": reason, "message": "m"}]);
        let none = json!([]);
        for (conditions, pods, minutes, part) in [
            (
                &none,
                vec![pod(false, &container(&json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}})))],
                1,
                "more memory",
            ),
            (
                &none,
                vec![pod(false, &container(&json!({"terminated": {"exitCode": 101, "message": "garbage"}})))],
                1,
                "exit code 101 and without",
            ),
            (
                &none,
                vec![pod(true, &container(&json!({"terminated": {"exitCode": 143}})))],
                1,
                "was deleted while it ran",
            ),
            (
                &none,
                vec![pod(false, &json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}))],
                1,
                "evicted from its node: low",
            ),
            (
                &none,
                vec![pod(false, &json!({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "m"}))],
                1,
                "UnexpectedAdmissionError",
            ),
            (&none, vec![pod(false, &pulling)], 1, "could not be pulled: Back-off"),
            (&none, vec![pod(false, &unscheduled)], 11, "no node took its pod for 10 minutes: 0/1"),
            (
                &none,
                vec![pod(false, &container(&json!({"waiting": {"reason": "ContainerCreating"}})))],
                11,
                "(ContainerCreating)",
            ),
            (&failed("BackoffLimitExceeded"), vec![], 1, "was deleted while it ran"),
            (&failed("DeadlineExceeded"), vec![], 1, "longer than a day"),
            (&failed("Other"), vec![pod(true, &container(&json!({"running": {}})))], 1, "(Other): m"),
            (&json!([{"type": "Complete", "status": "True"}]), vec![], 1, "removed before"),
        ] {
            match shown(&job(conditions), &pods, minutes) {
                Shown::State(JobState::Lost(cause)) => assert!(cause.contains(part), "{part} is not in {cause}"),
                other => panic!("{part}: {other:?}"),
            }
        }
    }

    #[test]
    fn job_runs_while_its_pod_may_end_by_itself() {
        let none = json!([]);
        let completed = json!([{"type": "Complete", "status": "True"}]);
        let running_for_long = container(&json!({"running": {"startedAt": CREATED}}));
        for (conditions, status, minutes) in [
            (&none, json!({"phase": "Pending"}), 1),
            (&none, json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]}), 9),
            (&none, running_for_long.clone(), 600),
            // The watch of pods is behind that of Jobs.
            (&completed, running_for_long, 1),
        ] {
            assert_eq!(shown(&job(conditions), &[pod(false, &status)], minutes), running(), "{status}");
        }
        let running = json!({"running": {}});
        let of_another = LiveObject {
            kind: Kind::Pod,
            object: json!({"metadata": {"name": "x"}, "status": running}),
            owned: Vec::new(),
        };
        assert_eq!(shown(&job(&none), &[of_another], 1), Shown::WithoutPod);
    }
}
