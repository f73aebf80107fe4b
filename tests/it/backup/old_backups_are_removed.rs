//! Retention in a bucket and in a directory.

use bytes::Bytes;
use http::Method;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use mai_backup::retention::{Pruned, prune};
use mai_backup::store::OpenStore;
use mai_backup::summary::{ArchiveInfo, Extent, FORMAT, ObjectKind, Summary, Verification};
use mai_contract::job::{BackupId, Retention, Subject};

use crate::fixtures::s3::{COPIES, Place};
use crate::fixtures::s3_proxy::{Fault, Proxy};

const LAST_TWO: Retention = Retention { last: 2, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

/// Stores the objects of a backup that was taken some days ago.
async fn backup(store: &OpenStore, subject: &Subject, days: i64, is_verified: bool) -> BackupId {
    let taken_at = Timestamp::now() - SignedDuration::from_hours(24 * days);
    let id = BackupId::new(taken_at, 1);
    let archive = ObjectKind::Archive { encrypted: false }.name(&id);
    let summary = Summary {
        format: FORMAT,
        id: id.clone(),
        instance: subject.clone(),
        taken_at,
        reason: "test".to_owned(),
        image: None,
        mai_version: "0".to_owned(),
        archive: ArchiveInfo { name: archive.clone(), bytes: 7, sha256: String::new() },
        manifest_sha256: String::new(),
        data_bytes: 0,
        files: 0,
        databases: 0,
        recipients: Vec::new(),
        missing_secrets: Vec::new(),
    };
    store.put(&archive, Bytes::from_static(b"archive")).await.unwrap();
    store.put(&ObjectKind::Summary.name(&id), serde_json::to_vec(&summary).unwrap().into()).await.unwrap();
    if is_verified {
        let verification =
            Verification { format: FORMAT, id: id.clone(), verified_at: taken_at, extent: Extent::Content };
        let content = serde_json::to_vec(&verification).unwrap();
        store.put(&ObjectKind::Verification.name(&id), content.into()).await.unwrap();
    }
    id
}

async fn run(place: &Place, store: &OpenStore, now: Timestamp, dry_run: bool) -> Pruned {
    let retention = place.destination.retention.as_ref();
    prune(store, retention, &place.subject, now, &TimeZone::UTC, dry_run).await
}

async fn names(store: &OpenStore) -> Vec<String> {
    let mut names: Vec<_> = store.list().await.unwrap().into_iter().map(|object| object.name).collect();
    names.sort();
    names
}

async fn removes_old_backups(place: Place) {
    let place = place.with_retention(LAST_TWO);
    let store = place.open().await;
    let (subject, now) = (&place.subject, Timestamp::now());
    let mut former = subject.clone();
    former.uid = "uid-0".to_owned();
    let mut ids = Vec::new();
    for (days, is_verified) in [(10, true), (9, true), (8, true), (7, false), (2, false), (1, false)] {
        ids.push(backup(&store, subject, days, is_verified).await);
    }
    let foreign = backup(&store, &former, 20, true).await;
    store.put("notes.txt", Bytes::new()).await.unwrap();
    let before = names(&store).await;
    let would = run(&place, &store, now, true).await;
    assert_eq!(names(&store).await, before);
    let expired = vec![ids[0].clone(), ids[3].clone()];
    let verified = ids[2].as_str();
    assert_eq!((would.kept, &would.removed, would.interrupted), (4, &expired, 0), "{would:?}");
    let pruned = run(&place, &store, now, false).await;
    assert_eq!(pruned, would);
    assert!(pruned.newest_verified.unwrap().strftime("%Y%m%d").to_string() == verified[..8], "{pruned:?}");
    let left = names(&store).await;
    let kept = [ids[1].as_str(), verified, ids[4].as_str(), ids[5].as_str(), foreign.as_str(), "notes"];
    assert!(left.iter().all(|name| kept.iter().any(|kept| name.starts_with(kept))), "{left:?}");
    assert_eq!(left.len(), 3 + 3 + 2 + 2 + 3 + 1, "{left:?}");
    assert_eq!(run(&place, &store, now, false).await.removed, []);

    // A crash after the summary was removed, and one before it was written.
    store.remove(&ObjectKind::Summary.name(&ids[4])).await.unwrap();
    store.put("20261101-020000-000001.tar.gz.age", Bytes::new()).await.unwrap();
    assert_eq!(run(&place, &store, now, false).await.interrupted, 0);
    let later = run(&place, &store, now + SignedDuration::from_hours(25), false).await;
    assert_eq!((later.kept, later.interrupted, later.removed), (3, 2, Vec::new()));
    assert_eq!(names(&store).await.len(), 3 + 3 + 2 + 3 + 1);

    // Without a retention nothing is removed.
    let counting = prune(&store, None, subject, now, &TimeZone::UTC, false).await;
    assert_eq!((counting.kept, counting.removed, counting.newest_verified), (3, Vec::new(), pruned.newest_verified));
}

#[tokio::test]
async fn directory_keeps_what_retention_says() {
    removes_old_backups(Place::directory()).await;
}

#[tokio::test]
async fn bucket_keeps_what_retention_says() {
    let proxy = Proxy::start().await;
    removes_old_backups(Place::bucket(&proxy.url, COPIES, "full", "retention")).await;
}

#[tokio::test]
async fn interruption_between_two_removals_is_made_good() {
    let proxy = Proxy::start().await;
    let place = Place::bucket(&proxy.url, COPIES, "full", "cut-short").with_retention(LAST_TWO);
    let store = place.open().await;
    for days in [9, 8, 2, 1] {
        backup(&store, &place.subject, days, true).await;
    }
    proxy.fail(Method::DELETE, "verified.json", 1, Fault::Answer(400, "Broken"));
    let cut = run(&place, &store, Timestamp::now(), false).await;
    assert!(cut.problem.as_ref().unwrap().contains("did not accept to remove an object"), "{cut:?}");
    assert_eq!((cut.kept, cut.removed.len()), (3, 0), "{cut:?}");
    let later = run(&place, &store, Timestamp::now() + SignedDuration::from_hours(25), false).await;
    assert_eq!((later.kept, later.removed.len(), later.interrupted, later.problem), (2, 1, 2, None));
    assert_eq!(names(&store).await.len(), 2 * 3);
}

#[tokio::test]
async fn protected_backups_are_counted_and_no_problem() {
    let proxy = Proxy::start().await;
    let place = Place::bucket(&proxy.url, COPIES, "keeper", "protected").with_retention(LAST_TWO);
    let store = place.open().await;
    for days in [9, 8, 2, 1] {
        backup(&store, &place.subject, days, true).await;
    }
    let pruned = run(&place, &store, Timestamp::now(), false).await;
    assert_eq!(
        (pruned.kept, pruned.locked.len(), pruned.removed.len(), &pruned.problem),
        (4, 2, 0, &None),
        "{pruned:?}"
    );
    assert_eq!(names(&store).await.len(), 4 * 3);
}

#[tokio::test]
async fn keys_that_only_write_prune_nothing() {
    let proxy = Proxy::start().await;
    let place = Place::bucket(&proxy.url, COPIES, "writer", "no-list");
    let store = place.open().await;
    assert_eq!(run(&place, &store, Timestamp::now(), false).await, Pruned::default());
    let place = place.with_retention(LAST_TWO);
    let problem = run(&place, &store, Timestamp::now(), false).await.problem.unwrap();
    assert!(problem.contains("refused to list the objects"), "{problem}");
}
