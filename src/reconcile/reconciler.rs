//! One reconciliation of one instance: observe, decide, apply, record, until nothing is left to do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action as Requeue;
use kube::runtime::reflector::{ObjectRef, Store};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::backoff::retry_delay;
use super::backup_inputs::BackupInputs;
use super::facts::{Facts, FleetTurn};
use super::fleet::Fleet;
use super::keys::Keys;
use super::observation::Observation;
use super::run::{Context, ReconcileError, Transition};
use super::running_jobs::RunningJobs;
use super::{Decision, backup_report, decide, drills, keys, restore_record, status, upgrade_report, usage_report};
use crate::api::{ConditionKind, FINALIZER, MaiInstance, MaiInstanceStatus, Reason};
use crate::core::{Action, EventKind, InstanceId, Memory, Observed, Record, RecordError, RecordSnapshot, Workload};
use crate::runtime::Apply;
use crate::source::Source;

/// More actions than any way from one state to another takes. A reconciliation that needs more
/// continues in the next.
const ACTIONS_PER_RECONCILIATION: usize = 6;

/// The context of the loop, and what it knows of instances. Nothing here has to survive a restart.
pub(super) struct Reconciler<S, R, K> {
    pub(super) context: Arc<Context<S, R, K>>,
    pub(super) store: Store<MaiInstance>,
    /// Failed reconciliations in a row, by instance.
    failures: Mutex<HashMap<String, u32>>,
    /// Recorded state, by uid. Nobody else writes there while this reconciler works, so it need not
    /// be read again.
    snapshots: Mutex<HashMap<String, RecordSnapshot>>,
    /// Instances that got their finalizer from this run.
    finalized: Mutex<HashSet<String>>,
    /// Instances announced by this run: one that is already as declared is announced once, too.
    announced: Mutex<HashSet<String>>,
    /// Running jobs of all instances.
    pub(super) jobs: RunningJobs,
    /// Upgrades of all instances.
    fleet: Fleet,
    /// Destinations and secrets that last backups were tried with.
    pub(super) backup_inputs: BackupInputs,
    /// Keys of all instances at their upstream.
    pub(super) keys: Arc<Keys>,
}

pub(super) fn on_error<S, R, K>(
    instance: Arc<MaiInstance>,
    _: &ReconcileError,
    reconciler: Arc<Reconciler<S, R, K>>,
) -> Requeue {
    let mut failures = reconciler.failures.lock();
    let count = failures.entry(key(&instance)).or_default();
    *count += 1;
    Requeue::requeue(retry_delay(*count, rand::random()))
}

pub(super) fn reconcile<S: Source, R: Apply, K: Record>(
    instance: Arc<MaiInstance>,
    reconciler: Arc<Reconciler<S, R, K>>,
) -> BoxFuture<'static, Result<Requeue, ReconcileError>> {
    async move {
        let began = Instant::now();
        let uid = instance.uid().unwrap_or_default();
        reconciler.context.overview.begin(&uid);
        let outcome = reconciler.reconcile(&instance).await;
        reconciler.context.overview.end(&uid);
        reconciler.context.metrics.record_reconciliation(began.elapsed(), outcome.as_ref().map(drop));
        outcome
    }
    .boxed()
}

impl<S: Source, R: Apply, K: Record> Reconciler<S, R, K> {
    pub(super) fn new(
        context: Arc<Context<S, R, K>>,
        store: Store<MaiInstance>,
        changed_keys: UnboundedSender<ObjectRef<MaiInstance>>,
    ) -> Self {
        Self {
            context,
            store,
            failures: Mutex::default(),
            snapshots: Mutex::default(),
            finalized: Mutex::default(),
            announced: Mutex::default(),
            jobs: RunningJobs::new(),
            fleet: Fleet::new(),
            backup_inputs: BackupInputs::default(),
            keys: Arc::new(Keys::new(changed_keys)),
        }
    }

    pub(super) async fn reconcile(&self, instance: &MaiInstance) -> Result<Requeue, ReconcileError> {
        let id = InstanceId::try_from(instance).map_err(ReconcileError::Incomplete)?;
        for _ in 0..ACTIONS_PER_RECONCILIATION {
            if let Some(requeue) = self.advance(instance, &id).await? {
                self.failures.lock().remove(&key(instance));
                return Ok(requeue);
            }
        }
        Ok(Requeue::requeue(Duration::ZERO))
    }

    /// Observes, decides and applies one action. Returns `None` if it has to be called again at
    /// once.
    async fn advance(&self, instance: &MaiInstance, id: &InstanceId) -> Result<Option<Requeue>, ReconcileError> {
        let Context { runtime, source, .. } = self.context.as_ref();
        let snapshot = self.snapshot(instance, id).await?;
        let RecordSnapshot { status: previous, memory, session_key, .. } = &snapshot;
        let (key, secrets) = self.own_secrets(instance, id, &snapshot);
        let observation = Observation::make(instance, id, || self.store.state(), &secrets, source, runtime).await;
        self.record_job(id, memory, &observation);
        let (key, key_left) = self.advance_key(instance, id, &snapshot, &observation, key).await?;
        if observation.observed.is_ok() {
            self.context.overview.record_observation(&id.uid);
        }
        self.fleet.record(id, memory.upgrade.as_ref());
        self.follow_counts(instance, id, &observation);
        let mut facts = Facts { key, ..self.facts(instance, id, &snapshot, &observation) };
        if instance.metadata.deletion_timestamp.is_some() && memory.backup.before_deletion.is_some() {
            facts.backup_corrected = self.backup_inputs.differ(source, instance, &id.uid).await;
        }
        let decision = decide(&facts);
        if !self.takes_turn(id, &facts, &decision) {
            return Ok(Some(Requeue::requeue(facts.platform.blocked_interval)));
        }

        match &decision.action {
            Action::Wait => {
                self.put(instance, id, previous, &decision.status, &decision.memory).await;
                let next = [decision.requeue_after, key_left].into_iter().flatten().min();
                return Ok(Some(next.map_or_else(Requeue::await_change, Requeue::requeue)));
            }
            Action::RemoveFinalizer => {
                self.let_go(instance, id, &decision.status, facts.key.left.as_deref()).await?;
                return Ok(Some(Requeue::await_change()));
            }
            Action::Prepare(_) | Action::Start | Action::Resume | Action::Update(_) | Action::Recreate(_) => {
                // Only decided where the workload is known.
                let Ok(workload) = &observation.desired else { return Ok(None) };
                if let Err(error) = self.bring_up(instance, id, workload, previous, &decision).await {
                    if let Err(problem) = self.advance_jobs(instance, id).await {
                        tracing::error!(instance = id.log_name(), "jobs could not be reconciled: {problem}");
                    }
                    return Err(error);
                }
            }
            Action::Commit | Action::RollBack(_) | Action::Stop(_) => {
                self.change_running(instance, id, previous, decision).await?;
            }
            Action::Remove | Action::RemoveData { .. } => {
                runtime.apply(id, &decision.action, None).await?;
                let mut memory = decision.memory;
                match decision.action {
                    Action::Remove => memory.removed = true,
                    _ => memory.data_removed = true,
                }
                self.put_memory(id, &memory).await;
            }
            Action::StartJob(request) => {
                return self.start_job(id, &facts, session_key, request, &decision).await;
            }
            Action::RemoveJob(name) => return self.end_job(id, &facts, name, &decision).await,
            Action::AnswerRestore(end) => return self.answer_restore(id, &facts, end, &decision).await,
        }
        Ok(None)
    }

    /// Takes the next step of jobs alone, after an action for the server failed: it may go on failing
    /// for days, and its data is backed up and restored all the same.
    async fn advance_jobs(&self, instance: &MaiInstance, id: &InstanceId) -> Result<(), ReconcileError> {
        let Context { runtime, source, .. } = self.context.as_ref();
        let snapshot = self.snapshot(instance, id).await?;
        let RecordSnapshot { status: previous, memory, session_key, .. } = &snapshot;
        let (_, secrets) = self.own_secrets(instance, id, &snapshot);
        // The action may have taken long, so what was observed before it is out of date.
        let observation = Observation::make(instance, id, || self.store.state(), &secrets, source, runtime).await;
        self.record_job(id, memory, &observation);
        let facts = self.facts(instance, id, &snapshot, &observation);
        let decision = decide::jobs_alone(&facts);
        match &decision.action {
            Action::StartJob(request) => {
                self.start_job(id, &facts, session_key, request, &decision).await?;
            }
            Action::RemoveJob(name) => {
                self.end_job(id, &facts, name, &decision).await?;
            }
            Action::AnswerRestore(end) => {
                self.answer_restore(id, &facts, end, &decision).await?;
            }
            _ => self.put(instance, id, previous, &decision.status, &decision.memory).await,
        }
        Ok(())
    }

    fn facts<'a>(
        &self,
        instance: &'a MaiInstance,
        id: &InstanceId,
        snapshot: &'a RecordSnapshot,
        observation: &'a Observation,
    ) -> Facts<'a> {
        let jobs_running = self.jobs.count_others(&id.uid, || self.uids());
        let change = observation.observed.as_ref().ok().and_then(Observed::image_change);
        let most = self.context.runtime.platform().concurrent_upgrades;
        let fleet = change.map_or(FleetTurn::Free, |change| self.fleet.turn(id, &change.to, most, || self.uids()));
        let facts = observation.facts(instance, &snapshot.memory, &snapshot.status, jobs_running, fleet);
        Facts { counts: self.context.counts.reported(&id.uid), ..facts }
    }

    /// Takes the turn of an instance whose upgrade is about to begin. Returns false if another one
    /// took it in the meantime.
    fn takes_turn(&self, id: &InstanceId, facts: &Facts<'_>, decision: &Decision) -> bool {
        let is_under_way = |memory: &Memory| memory.upgrade.as_ref().is_some_and(|one| one.step.is_under_way());
        match &decision.memory.upgrade {
            Some(upgrade) if is_under_way(&decision.memory) && !is_under_way(facts.memory) => {
                let has_turn = self.fleet.reserve(id, &upgrade.to, facts.platform.concurrent_upgrades);
                has_turn || facts.fleet != FleetTurn::Free
            }
            _ => true,
        }
    }

    /// Records whether a job of an instance runs.
    fn record_job(&self, id: &InstanceId, memory: &Memory, observation: &Observation) {
        let runs = decide::job_runs(observation.observed.as_ref().ok(), memory, Timestamp::now());
        self.jobs.record(&id.uid, runs);
    }

    fn uids(&self) -> HashSet<String> {
        self.store.state().iter().filter_map(|instance| instance.uid()).collect()
    }

    /// Applies an action towards what is declared. A failure becomes the status.
    async fn bring_up(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        workload: &Workload,
        previous: &MaiInstanceStatus,
        decision: &Decision,
    ) -> Result<(), ReconcileError> {
        let Decision { action, status, memory, .. } = decision;
        let runtime = &self.context.runtime;
        tracing::info!(instance = id.log_name(), "{action}");
        self.add_finalizer(instance, id).await?;
        // Anything that takes a while is shown before it begins; of an image that is only tried
        // again the status says more already.
        let takes_a_while = match action {
            Action::Recreate(_) => runtime.platform().recreates_slowly,
            Action::Prepare(_) => !is_retry(previous, status),
            _ => false,
        };
        let previous = if memory.upgrade != previous.upgrade {
            // After a crash in the middle the new image has to be known to be on trial.
            self.try_put(instance, id, previous, status, memory).await?;
            status
        } else if takes_a_while {
            self.put(instance, id, previous, status, memory).await;
            status
        } else {
            previous
        };
        let outcome = runtime.apply(id, action, Some(workload)).await;
        let failed = outcome
            .as_ref()
            .err()
            .map(|error| status::with_failure(previous, status, error.reason(), &error.to_string(), Timestamp::now()));
        self.put(instance, id, previous, failed.as_ref().unwrap_or(status), memory).await;
        Ok(outcome?)
    }

    /// Records the decision first, then applies it: after a crash in the middle a rejected workload
    /// must not be taken for a new one.
    async fn change_running(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        previous: &MaiInstanceStatus,
        decision: Decision,
    ) -> Result<(), ReconcileError> {
        let Decision { action, status, mut memory, .. } = decision;
        match &action {
            Action::RollBack(cause) => tracing::warn!(instance = id.log_name(), "rolling back: {cause}"),
            Action::Stop(cause) => tracing::info!(instance = id.log_name(), "stopping: {cause}"),
            _ => {}
        }
        self.put(instance, id, previous, &status, &memory).await;
        self.context.runtime.apply(id, &action, None).await?;
        if matches!(action, Action::Stop(_)) {
            memory.counted_exit = memory.counted_exit.max(Some(Timestamp::now()));
            self.put_memory(id, &memory).await;
        }
        Ok(())
    }

    async fn let_go(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        status: &MaiInstanceStatus,
        left: Option<&str>,
    ) -> Result<(), ReconcileError> {
        if let Some(left) = left {
            tracing::warn!(instance = id.log_name(), "{left}");
            self.try_put_event(id, EventKind::Warning, "KeyLeft", left).await;
        }
        self.put_memory(id, &Memory::default()).await;
        self.context.source.remove_finalizer(&id.namespace, &id.name).await?;
        self.put_event(instance, id, status, true).await;
        self.snapshots.lock().remove(&id.uid);
        self.announced.lock().remove(&id.uid);
        self.finalized.lock().remove(&id.uid);
        self.jobs.record(&id.uid, false);
        self.context.overview.forget(&id.uid);
        self.fleet.forget(&id.uid);
        self.backup_inputs.forget(&id.uid);
        self.context.counts.forget(&id.uid);
        self.keys.forget(&id.uid);
        Ok(())
    }

    /// Adds the finalizer before anything is created for an instance, so that its document cannot
    /// disappear unnoticed.
    pub(super) async fn add_finalizer(&self, instance: &MaiInstance, id: &InstanceId) -> Result<(), ReconcileError> {
        let present = instance.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
        if !present && !self.finalized.lock().contains(&id.uid) {
            self.context.source.add_finalizer(&id.namespace, &id.name, &id.uid).await?;
            self.finalized.lock().insert(id.uid.clone());
        }
        Ok(())
    }

    async fn snapshot(&self, instance: &MaiInstance, id: &InstanceId) -> Result<RecordSnapshot, RecordError> {
        if let Some(snapshot) = self.snapshots.lock().get(&id.uid) {
            return Ok(snapshot.clone());
        }
        let deleted = instance.metadata.deletion_timestamp.is_some();
        let snapshot = self.context.record.load(instance, id, !deleted).await?;
        if snapshot.session_key.is_ok() && snapshot.keys.is_ok() {
            self.snapshots.lock().insert(id.uid.clone(), snapshot.clone());
        }
        Ok(snapshot)
    }

    /// Records what changed. A failure (a full disk) does not keep a server from being repaired, so
    /// it is logged and not returned.
    pub(super) async fn put(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        previous: &MaiInstanceStatus,
        status: &MaiInstanceStatus,
        memory: &Memory,
    ) {
        if let Err(error) = self.try_put(instance, id, previous, status, memory).await {
            tracing::error!(instance = id.log_name(), "the state of the instance could not be recorded: {error}");
        }
    }

    /// Records what changed and nothing else, with the events of it.
    pub(super) async fn try_put(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        previous: &MaiInstanceStatus,
        status: &MaiInstanceStatus,
        memory: &Memory,
    ) -> Result<(), RecordError> {
        self.context.overview.record_status(&id.uid, status);
        let remembered = self.try_put_memory(id, memory).await;
        let first = self.announced.lock().insert(id.uid.clone());
        if status == previous {
            if first {
                self.announce(instance, status, false);
            }
            return remembered;
        }
        let shown = self.context.record.put_status(id, status).await;
        if shown.is_ok() {
            self.update_snapshot(id, |snapshot| snapshot.status.clone_from(status));
        }
        let short = |status: &MaiInstanceStatus| {
            status.condition(ConditionKind::Ready).map(|ready| (ready.status.clone(), ready.reason.clone()))
        };
        if short(previous) != short(status) {
            self.put_event(instance, id, status, false).await;
        }
        if shown.is_ok() {
            let backups = backup_report::events(previous, status).into_iter().chain(drills::events(previous, status));
            let others = upgrade_report::events(previous, status)
                .into_iter()
                .chain(usage_report::event(previous, status))
                .chain(usage_report::bill_event(previous, status));
            for event in backups.chain(others) {
                self.try_put_event(id, event.kind, event.reason, &event.message).await;
            }
            if let Some((kind, reason, message)) = keys::event(previous, status) {
                self.try_put_event(id, kind, reason, &message).await;
            }
            if let Some(event) = restore_record::event(previous, status) {
                self.try_put_event(id, event.kind, event.reason, &event.message).await;
            }
        }
        remembered.and(shown)
    }

    pub(super) async fn put_memory(&self, id: &InstanceId, memory: &Memory) {
        if let Err(error) = self.try_put_memory(id, memory).await {
            tracing::error!(instance = id.log_name(), "the memory could not be recorded: {error}");
        }
    }

    async fn try_put_memory(&self, id: &InstanceId, memory: &Memory) -> Result<(), RecordError> {
        if self.snapshots.lock().get(&id.uid).is_some_and(|snapshot| snapshot.memory == *memory) {
            return Ok(());
        }
        self.context.record.put_memory(id, memory).await?;
        self.update_snapshot(id, |snapshot| snapshot.memory.clone_from(memory));
        Ok(())
    }

    fn update_snapshot(&self, id: &InstanceId, update: impl FnOnce(&mut RecordSnapshot)) {
        if let Some(snapshot) = self.snapshots.lock().get_mut(&id.uid) {
            update(snapshot);
        }
    }

    /// Records an event and announces it.
    async fn put_event(&self, instance: &MaiInstance, id: &InstanceId, status: &MaiInstanceStatus, gone: bool) {
        let Some(ready) = status.condition(ConditionKind::Ready) else { return };
        let stalled = status.true_condition(ConditionKind::Stalled).is_some();
        let kind = if stalled { EventKind::Warning } else { EventKind::Normal };
        let (reason, message) = match gone {
            true => ("Deleted", "the server is stopped and the document is gone"),
            false => (ready.reason.as_str(), ready.message.as_str()),
        };
        self.try_put_event(id, kind, reason, message).await;
        self.announce(instance, status, gone);
    }

    async fn try_put_event(&self, id: &InstanceId, kind: EventKind, reason: &str, message: &str) {
        if let Err(error) = self.context.record.put_event(id, kind, reason, message).await {
            tracing::error!(instance = id.log_name(), "an event could not be recorded: {error}");
        }
    }

    fn announce(&self, instance: &MaiInstance, status: &MaiInstanceStatus, gone: bool) {
        let Some(ready) = status.condition(ConditionKind::Ready) else { return };
        let transition = Transition {
            namespace: instance.namespace().unwrap_or_default(),
            name: instance.name_any(),
            ready: status.condition_holds(ConditionKind::Ready) == Some(true),
            reason: ready.reason.clone(),
            message: ready.message.clone(),
            address: status.address.clone(),
            listen: (self.context.runtime.platform().listen)(instance).ok(),
            gone,
        };
        // It is fine if nobody listens.
        let _ = self.context.transitions.send(transition);
    }
}

/// Returns whether an image that could not be pulled is only tried again.
fn is_retry(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> bool {
    previous.reason(ConditionKind::Ready) == Some(Reason::ImageUnavailable)
        && previous.observed_generation == status.observed_generation
}

/// Returns what failures are counted by.
fn key(instance: &MaiInstance) -> String {
    format!("{}/{}", instance.namespace().unwrap_or_default(), instance.name_any())
}
