//! From a picture of an instance to the status people and GitOps tools read.

use jiff::Timestamp;

use super::{Facts, Memory};
use crate::api::{ConditionKind, Conditions, DOCUMENT_PROBLEM, MaiInstance, MaiInstanceStatus, Reason};
use crate::runtime::{Cause, Ground, Part, PartKind};

/// How an instance stands, in the few ways that matter to a person.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Picture {
    /// It answers with what is declared.
    Ready { version: Option<String> },
    /// It was ready, and fewer probes than declared have failed: it stays ready until it is known not to be.
    Doubtful { detail: String },
    /// Work is under way and will end by itself.
    Working { reason: Reason, message: String },
    /// It keeps failing and is tried again, ever more slowly.
    CrashLoop { message: String },
    /// A person has to do something.
    Stalled { reason: Reason, message: String },
    /// Stopped as declared.
    Suspended,
    /// Left alone as asked.
    Paused,
    /// Nothing could be observed.
    Unknown { message: String },
}

impl Picture {
    pub(super) fn working(reason: Reason, message: impl Into<String>) -> Self {
        Self::Working { reason, message: message.into() }
    }

    pub(super) fn crash_loop(message: impl Into<String>) -> Self {
        Self::CrashLoop { message: message.into() }
    }
}

/// The status of an instance: what stood, moved only where the picture moved.
pub(super) fn render(facts: &Facts<'_>, picture: &Picture, memory: &Memory) -> MaiInstanceStatus {
    let instance = facts.instance;
    let mut status = facts.previous.clone();
    let generation = instance.metadata.generation;
    let mut conditions = Conditions::from_previous(&facts.previous.conditions, generation, facts.now);
    let mut ready = |holds, reason, message: &str| conditions.set(ConditionKind::Ready, holds, reason, message);

    // Every arm says Ready first, then what kstatus needs beside it.
    let (reconciling, stalled) = match picture {
        Picture::Ready { version } => {
            status.version = version.clone().or(status.version);
            ready(Some(true), Reason::Ready, "the instance answers");
            (None, None)
        }
        Picture::Doubtful { detail } => {
            let stands = facts.previous.condition_holds(ConditionKind::Ready) == Some(true);
            ready(Some(stands), Reason::Unhealthy, &format!("the last probe failed: {detail}"));
            (None, None)
        }
        Picture::Working { reason, message } => {
            ready(Some(false), *reason, message);
            (Some((*reason, message.clone())), None)
        }
        Picture::CrashLoop { message } => {
            ready(Some(false), Reason::CrashLoop, message);
            (None, Some((Reason::CrashLoop, message.clone())))
        }
        Picture::Stalled { reason, message } => {
            ready(Some(false), *reason, message);
            (None, Some((*reason, message.clone())))
        }
        Picture::Suspended => {
            ready(Some(false), Reason::Suspended, "stopped because spec.suspend is true; data and backups are kept");
            (None, None)
        }
        Picture::Paused => {
            let holds = facts.previous.condition_holds(ConditionKind::Ready);
            ready(holds, Reason::Paused, "nothing is done for it while the annotation mai.dev/paused is true");
            (None, None)
        }
        Picture::Unknown { message } => {
            ready(None, Reason::ObserveFailed, message);
            (Some((Reason::ObserveFailed, message.clone())), None)
        }
    };
    let problem = document_problem(instance);
    let stalled = problem.map(|problem| (Reason::InvalidDocument, problem.to_owned())).or(stalled);
    let mut abnormal = |kind, cause: Option<(Reason, String)>, otherwise: Reason| match cause {
        Some((reason, message)) => conditions.set(kind, Some(true), reason, message),
        None => conditions.set(kind, Some(false), otherwise, ""),
    };
    abnormal(ConditionKind::Reconciling, reconciling, Reason::Ready);
    abnormal(ConditionKind::Stalled, stalled, Reason::Ready);
    match problem {
        Some(problem) => conditions.set(ConditionKind::DocumentValid, Some(false), Reason::InvalidDocument, problem),
        None => conditions.set(ConditionKind::DocumentValid, Some(true), Reason::Valid, ""),
    }

    // Of what should be there nothing is known while it cannot be said what that is.
    if let (Ok(observed), Ok(_)) = (facts.observed, facts.desired) {
        parts(&mut conditions, &observed.parts);
    }

    status.observed_generation = generation;
    status.conditions = conditions.into_vec();
    status.address = address(instance, facts.ground);
    status.restarts = i32::try_from(memory.failures).unwrap_or(i32::MAX);
    status.rejected.clone_from(&memory.rejected);
    status
}

/// Says of each part whether it is in order; nothing of those that the runtime does not have.
fn parts(conditions: &mut Conditions, parts: &[Part]) {
    for (part, kind, good) in [
        (PartKind::Storage, ConditionKind::StorageReady, "the volumes are bound"),
        (PartKind::Exposure, ConditionKind::Exposed, "the way in is declared to the cluster"),
    ] {
        match parts.iter().find(|known| known.kind == part).map(|known| &known.trouble) {
            None => conditions.remove(kind),
            Some(None) => conditions.set(kind, Some(true), Reason::Ready, good),
            Some(Some(trouble)) => conditions.set(kind, Some(false), reason(trouble.cause), &trouble.detail),
        }
    }
}

/// The reason of a condition for what keeps something from being in order.
pub(super) fn reason(cause: Cause) -> Reason {
    match cause {
        Cause::Starting => Reason::Starting,
        Cause::Unhealthy => Reason::Unhealthy,
        Cause::CrashLoop => Reason::CrashLoop,
        Cause::ImageUnavailable => Reason::ImageUnavailable,
        Cause::Unschedulable => Reason::Unschedulable,
        Cause::Refused => Reason::Refused,
        Cause::VolumePending => Reason::VolumePending,
        Cause::ResizeFailed => Reason::ResizeFailed,
        Cause::NotAccepted => Reason::NotAccepted,
    }
}

/// The decided status of a step that could not be done. Goes on from the conditions that stood before, so that a failure that
/// repeats moves nothing.
pub(super) fn with_failure(
    previous: &MaiInstanceStatus,
    decided: &MaiInstanceStatus,
    reason: Reason,
    message: &str,
    now: Timestamp,
) -> MaiInstanceStatus {
    let mut conditions = Conditions::from_previous(&previous.conditions, decided.observed_generation, now);
    conditions.set(ConditionKind::Ready, Some(false), reason, message);
    conditions.set(ConditionKind::Reconciling, Some(false), Reason::Ready, "");
    conditions.set(ConditionKind::Stalled, Some(true), reason, message);
    MaiInstanceStatus { conditions: conditions.into_vec(), ..decided.clone() }
}

fn document_problem(instance: &MaiInstance) -> Option<&str> {
    instance.metadata.annotations.as_ref()?.get(DOCUMENT_PROBLEM).map(String::as_str)
}

fn address(instance: &MaiInstance, ground: Ground) -> Option<String> {
    let expose = &instance.spec.expose;
    if let Some(host) = &expose.host {
        let plain = expose.ingress.as_ref().is_some_and(|ingress| ingress.tls_secret_name.is_none());
        let scheme = if ground == Ground::Cluster && plain { "http" } else { "https" };
        return Some(format!("{scheme}://{host}"));
    }
    if ground == Ground::Cluster {
        let (name, namespace) = (instance.metadata.name.as_ref()?, instance.metadata.namespace.as_ref()?);
        return Some(format!("http://mai-{name}.{namespace}:{}", mai_contract::http::PORT));
    }
    let port = expose.port?;
    Some(match expose.address.as_deref().unwrap_or(super::desired::DEFAULT_ADDRESS) {
        "0.0.0.0" | "::" => format!("http://localhost:{port}"),
        address if address.contains(':') => format!("http://[{address}]:{port}"),
        address => format!("http://{address}:{port}"),
    })
}
