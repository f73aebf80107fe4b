//! Reconciliations of restores against a runtime, a source and a record that are kept in memory.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::Ordering;

use mai_contract::job::{Order, Outcome, RestoreReport, SwapStep};

use super::tests::{Loop, verified};
use crate::api::{RestoreSource, RestoreStatus, RestoreStep};
use crate::core::RestoreRequest;
use crate::reconcile::run::ReconcileError;

const RESTORE: &str = "20261130-020000-0000aa";

impl Loop {
    /// Returns that of a suspended instance whose restore was asked for.
    fn asked(source: RestoreSource) -> Self {
        let mut this = Self::new(&["a"]);
        this.instances[0].spec.backup.as_mut().unwrap().schedule = "0 0 29 2 *".to_owned();
        this.instances[0].metadata.creation_timestamp = None;
        let request =
            RestoreRequest { id: RESTORE.parse().unwrap(), source, reason: "MaiRestore r asked for it".to_owned() };
        this.platform.jobs.lock().entry("a".to_owned()).or_default().restore_request = Some(request);
        this
    }

    fn restore(&self) -> RestoreStatus {
        self.written.memory("a").restore.unwrap()
    }

    /// Reconciles as often as it takes to get to the next job, under a reconciler that knows nothing.
    async fn next_job(self) -> (Self, Order) {
        let Self { platform, secrets, written, instances, .. } = self;
        let next = Self::restarted(&platform, &secrets, &written, instances);
        for _ in 0..3 {
            next.reconcile(0).await.unwrap();
        }
        let job = next.platform.started.lock().pop().unwrap();
        assert!(next.platform.started.lock().is_empty(), "one job of each step");
        (next, job.order)
    }
}

fn unpacked() -> Outcome {
    Outcome::Restored(RestoreReport {
        id: RESTORE.parse().unwrap(),
        backup: None,
        taken_at: None,
        data_bytes: 9,
        files: 1,
        databases: 1,
        replaces_data: true,
        remarks: Vec::new(),
    })
}

#[tokio::test]
async fn requested_restore_is_done_in_steps_and_answered_once() {
    let this = Loop::asked(RestoreSource::default());
    let (this, order) = this.next_job().await;
    assert!(matches!(order, Order::Restore(order) if order.id.as_str() == RESTORE));
    this.end(unpacked());
    let (this, order) = this.next_job().await;
    let Order::Backup(safety) = order else { panic!("{order:?}") };
    assert_eq!(safety.destinations.len(), 1);
    let Outcome::Backup(mut report) = verified(safety.id.as_str()) else { unreachable!() };
    report.destinations.truncate(1);
    this.end(Outcome::Backup(report));
    let (this, order) = this.next_job().await;
    assert!(matches!(order, Order::Swap(swap) if swap.step == SwapStep::Forward && swap.restore.as_str() == RESTORE));
    this.end(Outcome::Swapped);
    for _ in 0..4 {
        this.reconcile(0).await.unwrap();
    }
    let answered = this.platform.answered.lock().clone();
    assert_eq!((answered.len(), answered[0].step), (1, RestoreStep::Completed));
    assert_eq!((this.restore(), this.platform.removed.lock().len()), (answered[0].clone(), 3));
    assert_eq!(answered[0].safety_backup.as_deref(), Some(safety.id.as_str()));
    assert_eq!(this.written.events.lock().iter().filter(|event| *event == "Restored").count(), 1);
    assert_eq!(this.written.memory("a").backup.last, None, "the safety backup is none of the schedule");
}

#[tokio::test]
async fn step_that_cannot_be_recorded_is_not_taken() {
    let (this, _) = Loop::asked(RestoreSource::default()).next_job().await;
    this.end(unpacked());
    this.written.is_full.store(true, Ordering::Relaxed);
    assert!(matches!(this.reconcile(0).await, Err(ReconcileError::Record(_))));
    assert_eq!((this.restore().step, this.platform.removed.lock().len()), (RestoreStep::Unpacking, 0));
    this.written.is_full.store(false, Ordering::Relaxed);
    let (this, _) = this.next_job().await;
    assert_eq!(this.restore().step, RestoreStep::BackingUp);
}

#[tokio::test]
async fn restore_that_cannot_be_started_is_told_with_its_remedy() {
    let unknown = RestoreSource { destination: "tape".to_owned(), ..RestoreSource::default() };
    let without_secret = RestoreSource { destination: "s3".to_owned(), ..RestoreSource::default() };
    let foreign = RestoreSource {
        destination: "s3".to_owned(),
        file: Some("other/abc/1.tar.gz".to_owned()),
        ..RestoreSource::default()
    };
    for (source, remedy) in [
        (unknown, "declare it in spec.backup.destinations"),
        (without_secret, "Secret s3 is not"),
        (foreign, "add it to `restores`"),
    ] {
        let this = Loop::asked(source);
        this.secrets.is_complete.store(false, Ordering::Relaxed);
        for _ in 0..3 {
            this.reconcile(0).await.unwrap();
        }
        let answered = this.platform.answered.lock().clone();
        assert_eq!((answered.len(), answered[0].step), (1, RestoreStep::Failed));
        assert!(answered[0].message.contains(remedy), "{}", answered[0].message);
        assert!(this.platform.started.lock().is_empty());
    }

    // What a platform refuses is tried again.
    let this = Loop::asked(RestoreSource::default());
    this.platform.refuses_jobs.store(true, Ordering::Relaxed);
    this.reconcile(0).await.unwrap();
    let restore = this.restore();
    assert_eq!((restore.step, restore.failures, restore.job), (RestoreStep::Unpacking, 1, None));
    assert!(restore.problem.contains("the disk is full"), "{}", restore.problem);
}
