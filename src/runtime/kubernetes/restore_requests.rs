//! `MaiRestore` objects: requests for restores, whose statuses follow that of the instance.

use jiff::Timestamp;

use super::apply::failed;
use super::requests::{RequestKind, RequestedWork, Requests, now};
use crate::api::{MaiRestore, MaiRestoreSpec, MaiRestoreStatus, RestoreStatus};
use crate::core::{InstanceId, RestoreRequest};
use crate::runtime::RuntimeError;

impl RequestKind for MaiRestore {
    type Spec = MaiRestoreSpec;
    type Status = MaiRestoreStatus;
    const WORK: RequestedWork = RequestedWork::Restore;

    fn instance(spec: &MaiRestoreSpec) -> &str {
        &spec.instance
    }

    fn is_answered(status: &MaiRestoreStatus) -> bool {
        status.is_answered()
    }

    fn is_begun(status: &MaiRestoreStatus) -> bool {
        status.restore.is_some()
    }

    fn stalled(status: &MaiRestoreStatus, reason: &str, message: String, now: Timestamp) -> MaiRestoreStatus {
        status.stalled(reason, message, now)
    }

    fn failed(status: &MaiRestoreStatus, message: String, now: Timestamp) -> MaiRestoreStatus {
        status.failed(message, now)
    }
}

impl Requests<MaiRestore> {
    /// Returns the restore that the oldest request asks for.
    pub(super) fn restore(&self, id: &InstanceId) -> Option<RestoreRequest> {
        let (name, request) = self.oldest(id)?;
        let reason = match &request.spec.reason {
            Some(reason) => format!("{reason} (MaiRestore {name})"),
            None => format!("MaiRestore {name} asked for it"),
        };
        Some(RestoreRequest { id: request.id(), source: request.spec.from, reason })
    }

    /// Shows in the request for a restore how far it is. A failure is logged, and concerns nothing
    /// else.
    pub(super) async fn show(&self, id: &InstanceId, restore: &RestoreStatus) {
        let Some(key) = self.key_of(id, &restore.id) else { return };
        self.try_update(&key, |status| status.with_restore(restore, now())).await;
    }

    /// Answers the request for a restore that has ended, if there is one.
    pub(super) async fn end(&self, id: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        let Some(key) = self.key_of(id, &end.id) else { return Ok(()) };
        let answered = self.update(&key, |status| status.with_restore(end, now())).await;
        answered.map_err(|error| failed("answer to the request for the restore", id, error))
    }
}
