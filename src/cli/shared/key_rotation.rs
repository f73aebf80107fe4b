//! The rotation of the key of one instance, as a verb follows it.

use anyhow::Context;

use crate::api::{ConditionKind, MaiInstanceStatus, Reason};

/// Progress of a rotation.
pub(in crate::cli) enum Rotation {
    /// It has not ended.
    UnderWay,
    /// The server has the key of this hash.
    Done(String),
    /// It is held up, for this cause; it is tried again.
    HeldUp(String),
}

/// Returns the hash of the key before a rotation. Fails for an instance without a key of its own.
pub(in crate::cli) fn hash_before(instance: &str, status: Option<&MaiInstanceStatus>) -> anyhow::Result<String> {
    let key = status.and_then(|status| status.open_router_key.as_ref());
    let key = key.with_context(|| {
        let why = status.and_then(|status| status.condition(ConditionKind::KeyHealthy));
        match why {
            Some(why) => format!("{instance} has no key yet: {}", why.message),
            None => format!("{instance} has no key that mai made; declare openRouter.managementKeySecretRef"),
        }
    })?;
    Ok(key.hash.clone())
}

/// Returns the progress since the key had the hash `before`.
pub(in crate::cli) fn progress(before: &str, status: &MaiInstanceStatus) -> Rotation {
    let condition = status.condition(ConditionKind::KeyHealthy);
    let is_failed = status.condition_holds(ConditionKind::KeyHealthy) == Some(false);
    let hash = status.open_router_key.as_ref().map(|key| &key.hash).filter(|hash| *hash != before);
    match (hash, condition) {
        (_, Some(failed)) if is_failed => Rotation::HeldUp(failed.message.clone()),
        (Some(hash), _) if status.reason(ConditionKind::KeyHealthy) == Some(Reason::KeyReady) => {
            Rotation::Done(hash.clone())
        }
        _ => Rotation::UnderWay,
    }
}
