//! A backup with two destinations, one of which fails: the other has it, and each says how it went.

use http::Method;
use mai_backup::{Progress, create};
use mai_contract::job::{BackupId, BackupOrder, DestinationReport, Store, StoreResult};

use crate::fixtures::s3::{COPIES, Place};
use crate::fixtures::s3_proxy::{Fault, Proxy};

const SMALL: usize = 64 << 10;
/// Its archive has two parts.
const LARGE: usize = 11 << 19;

/// Backs up a file of this size that cannot be compressed to a directory and a bucket, and returns
/// how it went in each.
async fn back_up(directory: &Place, bucket: &Place, bytes: usize) -> [DestinationReport; 2] {
    let places = bucket.places();
    std::fs::write(places.data.join("file"), noise(bytes)).unwrap();
    let (mut first, mut second) = (directory.destination.clone(), bucket.destination.clone());
    (first.name, second.name) = ("directory".to_owned(), "bucket".to_owned());
    let order = BackupOrder {
        id: BackupId::new("2026-11-30T02:00:00Z".parse().unwrap(), 1),
        instance: bucket.subject.clone(),
        reason: "a test".to_owned(),
        image: None,
        document: serde_json::json!({}),
        secrets: Vec::new(),
        encryption: None,
        destinations: vec![first, second],
        time_zone: "Europe/Warsaw".to_owned(),
    };
    create(&order, &places, &Progress::silent()).await.unwrap().destinations.try_into().unwrap()
}

/// Returns bytes that cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let words = std::iter::repeat_with(|| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect()
}

fn files(place: &Place) -> usize {
    std::fs::read_dir(place.folder()).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_bucket_leaves_the_directory_verified() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "fails-alone");
    for (bytes, part, fault, text) in [
        (LARGE, "partNumber=2", Fault::Answer(403, "AccessDenied"), "(AccessDenied)"),
        (SMALL, "20261130-020000-000001.json", Fault::Swallow, "does not have it"),
    ] {
        let directory = Place::directory();
        proxy.fail(Method::PUT, part, 1, fault);
        let [first, second] = back_up(&directory, &bucket, bytes).await;
        assert_eq!(first.result, StoreResult::Verified);
        assert_eq!(files(&directory), 3);
        assert!(matches!(&second.result, StoreResult::Failed(cause) if cause.contains(text)), "{second:?}");
        let left = bucket.open().await.list().await.unwrap();
        assert!(left.iter().all(|object| !object.name.ends_with(".json")), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_directory_leaves_the_bucket_verified() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "goes-alone");
    let mut directory = Place::directory();
    directory.destination.store = Store::Directory(directory.directory.path().join("unmounted"));
    let [first, second] = back_up(&directory, &bucket, SMALL).await;
    assert!(matches!(&first.result, StoreResult::Failed(cause) if cause.contains("mount the volume")), "{first:?}");
    assert_eq!((&second.result, second.kept), (&StoreResult::Verified, 1));
    assert_eq!(bucket.open().await.list().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_archive_is_not_verified() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "altered-archive");
    let directory = Place::directory();
    proxy.fail(Method::GET, "000001.tar.gz", 1, Fault::Flip(SMALL / 2));
    let [first, second] = back_up(&directory, &bucket, SMALL).await;
    assert_eq!(first.result, StoreResult::Verified);
    assert!(matches!(second.result, StoreResult::Failed(_)), "{second:?}");
    assert_eq!(second.newest_verified, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn write_only_keys_store_without_verification() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "writer", "only-stored");
    let directory = Place::directory();
    let [first, second] = back_up(&directory, &bucket, SMALL).await;
    assert_eq!(first.result, StoreResult::Verified);
    assert!(matches!(second.result, StoreResult::Stored(_)), "{second:?}");
    let owner = Place::bucket(&proxy.url, COPIES, "full", "only-stored").open().await;
    assert_eq!(owner.list().await.unwrap().len(), 2);
}
