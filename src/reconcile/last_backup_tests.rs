//! Reconciliations of the last backup of an instance that is deleted.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mai_contract::job::Outcome;

use super::Loop;
use crate::api::DeletionPolicy;

#[tokio::test]
async fn last_backup_is_tried_again_once_it_is_corrected() {
    let mut this = Loop::new(&["a"]);
    this.instances[0].spec.deletion_policy = DeletionPolicy::Snapshot;
    this.instances[0].metadata.deletion_timestamp = Some(Time(Timestamp::now()));
    let started = async |this: &Loop| {
        for _ in 0..3 {
            this.reconcile(0).await.unwrap();
        }
        std::mem::take(&mut *this.platform.started.lock()).len()
    };
    assert_eq!(started(&this).await, 1);
    this.end(Outcome::Failed { message: "there is no such bucket".to_owned() });
    assert_eq!(started(&this).await, 0, "it waits for minutes");
    this.instances[0].spec.backup.as_mut().unwrap().destinations[0].name = "another".to_owned();
    assert_eq!(started(&this).await, 1);
    this.end(Outcome::Failed { message: "the key is refused".to_owned() });
    this.secrets.is_rotated.store(true, Ordering::Relaxed);
    assert_eq!(started(&this).await, 1);
}
