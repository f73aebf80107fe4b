//! Start and end of jobs, and answers to requests for restores. What is decided is recorded before it
//! is done, and not done if it cannot be recorded: a job that nobody remembers would be started again
//! and again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action as Requeue;
use mai_contract::job::{BackupId, BackupReport, DestinationReport, Outcome, StoreResult};
use secrecy::SecretString;

use super::backup_report::{Verdict, Verdicts, record_end};
use super::decide::QUEUE_INTERVAL;
use super::job::Given;
use super::reconciler::Reconciler;
use super::restore_record::JobEnd;
use super::run::ReconcileError;
use super::schedule::whole_second;
use super::{Decision, Facts, decide, drills, job, refusal, status};
use crate::api::{
    BackupResult, BackupStatus, DestinationResult, MaiInstance, MaiInstanceStatus, Reason, RestoreStatus, UpgradeStep,
};
use crate::core::{Blocked, InstanceId, Job, JobRequest, JobState, JobWork, Memory, Observed, Record};
use crate::runtime::{Apply, RuntimeError};
use crate::source::{Reader, Source};

/// Time that a platform may take to remove a job.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(1);

impl<S: Source, R: Apply, K: Record> Reconciler<S, R, K> {
    /// Starts the job of a decision. A failure to start it is its end.
    pub(super) async fn start_job(
        &self,
        id: &InstanceId,
        facts: &Facts<'_>,
        session_key: &Result<SecretString, String>,
        request: &JobRequest,
        decision: &Decision,
    ) -> Result<Option<Requeue>, ReconcileError> {
        if !self.jobs.reserve(&id.uid, facts.platform.concurrent_jobs) {
            return Ok(Some(Requeue::requeue(QUEUE_INTERVAL)));
        }
        let runtime = &self.context.runtime;
        let image = last_image(facts.instance, &decision.memory);
        let job = match self.derive_job(facts.instance, id, image, request, session_key).await {
            Ok(job) => job,
            Err(blocked) => {
                self.jobs.record(&id.uid, false);
                return self.block_job(id, facts, request, decision, &blocked).await;
            }
        };
        if is_deleted(facts) {
            self.backup_inputs.record(&self.context.source, facts.instance, &id.uid).await;
        }
        tracing::info!(instance = id.log_name(), "{}", decision.action);
        if let Err(error) = self.record_start(id, facts, decision).await {
            // Nothing was started: what was remembered of a start would become a failed backup.
            self.jobs.record(&id.uid, false);
            self.put_memory(id, facts.memory).await;
            return Err(error);
        }
        if let Err(error) = runtime.start_job(id, &job).await {
            let message = error.to_string();
            let mut memory = decision.memory.clone();
            // There is nothing that a deletion could lose.
            memory.data_removed |= is_deleted(facts) && matches!(error, RuntimeError::NoData { .. });
            let decision = Decision { memory, ..decision.clone() };
            self.record_failed_start(id, facts, &decision.status, &decision, request, JobEnd::Lost(&message)).await?;
            runtime.remove_job(id, &request.name, &Outcome::Failed { message }).await?;
        }
        Ok(None)
    }

    /// Records that the job of a decision could not be started. `recorded` is the status until then.
    async fn record_failed_start(
        &self,
        id: &InstanceId,
        facts: &Facts<'_>,
        recorded: &MaiInstanceStatus,
        decision: &Decision,
        request: &JobRequest,
        end: JobEnd<'_>,
    ) -> Result<(), ReconcileError> {
        let mut memory = decision.memory.clone();
        let now = whole_second(Timestamp::now());
        let restore = memory.restore.as_mut().filter(|restore| restore.job.as_ref() == Some(&request.name));
        let upgrade = memory.upgrade.as_mut().filter(|upgrade| upgrade.job.as_ref() == Some(&request.name));
        match (restore, upgrade) {
            (Some(restore), _) => restore.record_end(end, false, now),
            (None, Some(upgrade)) => upgrade.record_end(&request.name, &end.into_outcome(), now),
            (None, None) => match (&request.work, &mut memory.backup.drill) {
                (JobWork::Drill(_), Some(drills)) => {
                    drills::record_end(drills, &request.name, &end.into_outcome(), now);
                }
                _ => record_end(&mut memory.backup, &request.name, &end.into_outcome(), now),
            },
        }
        let verdicts = Verdicts::new(facts, &memory.backup, false);
        let status = status::with_jobs(facts.previous, &decision.status, &memory, &verdicts, facts.now);
        Ok(self.try_put(facts.instance, id, recorded, &status, &memory).await?)
    }

    /// Records that the job of a decision is started.
    async fn record_start(
        &self,
        id: &InstanceId,
        facts: &Facts<'_>,
        decision: &Decision,
    ) -> Result<(), ReconcileError> {
        self.add_finalizer(facts.instance, id).await?;
        Ok(self.try_put(facts.instance, id, facts.previous, &decision.status, &decision.memory).await?)
    }

    /// Records the outcome of a job that ended, answers who asked for it, and removes it.
    pub(super) async fn end_job(
        &self,
        id: &InstanceId,
        facts: &Facts<'_>,
        name: &str,
        decision: &Decision,
    ) -> Result<Option<Requeue>, ReconcileError> {
        self.try_put(facts.instance, id, facts.previous, &decision.status, &decision.memory).await?;
        let outcome = outcome_of(name, facts.observed.ok(), &decision.memory.backup);
        tracing::info!(instance = id.log_name(), "{}", decision.action);
        self.context.runtime.remove_job(id, name, &outcome).await?;
        Ok(Some(Requeue::requeue(REMOVAL_INTERVAL)))
    }

    /// Records the answer to a request for a restore, and gives it.
    pub(super) async fn answer_restore(
        &self,
        id: &InstanceId,
        facts: &Facts<'_>,
        end: &RestoreStatus,
        decision: &Decision,
    ) -> Result<Option<Requeue>, ReconcileError> {
        self.try_put(facts.instance, id, facts.previous, &decision.status, &decision.memory).await?;
        tracing::info!(instance = id.log_name(), "{}", decision.action);
        self.context.runtime.answer_restore(id, end).await?;
        Ok(Some(Requeue::requeue(REMOVAL_INTERVAL)))
    }

    /// Shows why a job cannot be started. A backup or a drill that is due waits; one that was asked for
    /// ends with it, and a step of a restore has failed.
    async fn block_job(
        &self,
        id: &InstanceId,
        facts: &Facts<'_>,
        request: &JobRequest,
        decision: &Decision,
        blocked: &Blocked,
    ) -> Result<Option<Requeue>, ReconcileError> {
        if decision.memory.upgrade.as_ref().is_some_and(|upgrade| upgrade.job.as_ref() == Some(&request.name)) {
            let facts = Facts { backup_problem: Some(&blocked.message), ..facts.clone() };
            let decision = decide(&facts);
            self.put(facts.instance, id, facts.previous, &decision.status, &decision.memory).await;
            return Ok(Some(Requeue::requeue(facts.platform.blocked_interval)));
        }
        if !matches!(request.work, JobWork::Backup | JobWork::Drill(_)) {
            let end = JobEnd::Blocked(&blocked.message);
            self.record_failed_start(id, facts, facts.previous, decision, request, end).await?;
            return Ok(None);
        }
        let asked = facts.observed.ok().and_then(|observed| observed.jobs.request.as_ref());
        if asked.is_some_and(|asked| asked.name == request.name) {
            let outcome = Outcome::Failed { message: blocked.message.clone() };
            self.context.runtime.remove_job(id, &request.name, &outcome).await?;
            return Ok(Some(Requeue::requeue(REMOVAL_INTERVAL)));
        }
        let memory = Memory { backup: facts.memory.backup.clone(), ..decision.memory.clone() };
        let mut verdicts = Verdicts::new(facts, &memory.backup, false);
        let declared = match request.work {
            JobWork::Drill(_) => &mut verdicts.drills,
            _ => &mut verdicts.backups,
        };
        if let Some(verdict) = declared {
            *verdict = Verdict::bad(blocked.reason, blocked.message.clone());
        }
        let mut status = status::with_jobs(facts.previous, &decision.status, &memory, &verdicts, facts.now);
        if is_deleted(facts) {
            let message = format!(
                "the document was removed; the data stays until its last backup is verified, which cannot be made: {}",
                blocked.message
            );
            status = status::with_failure(facts.previous, &status, blocked.reason, &message, facts.now);
        }
        self.put(facts.instance, id, facts.previous, &status, &memory).await;
        Ok(Some(Requeue::requeue(facts.platform.blocked_interval)))
    }

    async fn derive_job(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        image: &str,
        request: &JobRequest,
        session_key: &Result<SecretString, String>,
    ) -> Result<Job, Blocked> {
        if let Some(refusal) = refusal(instance) {
            return Err(Blocked::new(job::blocked_reason(&request.work), refusal));
        }
        if let JobWork::Restore { source, .. } = &request.work
            && let Some(refusal) = self.context.source.restore_refusal(&Reader::from(instance), source)
        {
            return Err(Blocked::new(Reason::RefusedByPolicy, refusal));
        }
        let files = job::secret_files(instance, &request.work)?;
        let mut secrets = BTreeMap::new();
        for file in files.required {
            let value = self.context.source.secret(&Reader::from(instance), &file.reference).await;
            let value = value.map_err(|error| Blocked::new(job::blocked_reason(&request.work), error.to_string()))?;
            secrets.insert(file.reference, value);
        }
        for file in files.archived {
            if let Ok(value) = self.context.source.secret(&Reader::from(instance), &file.reference).await {
                secrets.insert(file.reference, value);
            }
        }
        let given = Given {
            instance,
            id,
            image,
            secrets: &secrets,
            session_key,
            platform: self.context.runtime.platform(),
            helper_image: self.context.helper_image.as_deref(),
        };
        job::derive(&given, request)
    }
}

/// Returns the image of the server that wrote the data last, which is not the declared one while an
/// upgrade waits or has failed.
fn last_image<'a>(instance: &'a MaiInstance, memory: &'a Memory) -> &'a str {
    let former = memory.upgrade.as_ref().filter(|upgrade| upgrade.step != UpgradeStep::Completed);
    let known = memory.image.as_ref().or(former.map(|upgrade| &upgrade.from));
    // The id that may follow the reference is left out.
    known.and_then(|image| image.split_whitespace().next()).unwrap_or(&instance.spec.image)
}

fn is_deleted(facts: &Facts<'_>) -> bool {
    facts.instance.metadata.deletion_timestamp.is_some()
}

/// Returns the outcome with which a job is removed and a request of its name is answered.
fn outcome_of(name: &str, observed: Option<&Observed>, backup: &BackupStatus) -> Outcome {
    let failed = |message: &str| Outcome::Failed { message: message.to_owned() };
    if let Some(job) = observed.and_then(|observed| observed.jobs.current.as_ref()).filter(|job| job.name == name) {
        return match &job.state {
            JobState::Ended(outcome) => outcome.clone(),
            JobState::Lost(cause) => failed(cause),
            JobState::Running { .. } => match backup.last.as_ref().filter(|last| last.id == name) {
                Some(last) if last.ended_at.is_some() => failed(&last.message),
                _ => drills::recorded_outcome(backup, name)
                    .unwrap_or_else(|| failed("the instance was deleted while its job ran")),
            },
        };
    }
    if let Some(outcome) = drills::recorded_outcome(backup, name) {
        return outcome;
    }
    let id = match name.parse::<BackupId>() {
        Ok(id) => id,
        Err(error) => return failed(&error.to_string()),
    };
    match backup.last.as_ref().filter(|last| last.id == name) {
        Some(last)
            if matches!(last.result, BackupResult::Verified | BackupResult::Intact | BackupResult::Unverified) =>
        {
            Outcome::Backup(recorded_report(id, last.started_at, backup))
        }
        Some(last) => failed(&last.message),
        None => failed("it was not made"),
    }
}

/// Returns what the status knows of the newest archive, for a request that was not answered before
/// its job was removed.
fn recorded_report(id: BackupId, taken_at: Timestamp, backup: &BackupStatus) -> BackupReport {
    let count = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
    let destinations = backup.destinations.iter().map(|one| DestinationReport {
        name: one.name.clone(),
        result: match one.result {
            DestinationResult::Verified => StoreResult::Verified,
            DestinationResult::Stored => StoreResult::Stored(one.message.clone()),
            DestinationResult::Failed => StoreResult::Failed(one.message.clone()),
        },
        kept: u32::try_from(one.kept).unwrap_or(0),
        removed: 0,
        newest_verified: one.last_verified,
        retention_problem: None,
    });
    BackupReport {
        id,
        taken_at,
        data_bytes: count(backup.data_bytes),
        archive_bytes: count(backup.bytes),
        files: 0,
        databases: 0,
        destinations: destinations.collect(),
        remarks: Vec::new(),
    }
}

#[cfg(test)]
#[path = "backup_jobs_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "restore_jobs_tests.rs"]
mod restore_tests;
