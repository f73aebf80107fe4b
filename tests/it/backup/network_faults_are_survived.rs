//! Buckets behind a network and a service that fail: what passes is repeated, what does not is
//! reported, and nothing that was not kept counts as stored.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use mai_backup::store::{OpenStore, StoreError};

use super::buckets_keep_whole_objects::content;
use crate::fixtures::s3::{COPIES, Place, read};
use crate::fixtures::s3_proxy::{Fault, Proxy};

const LENGTH: usize = 12 << 20;

async fn store(store: &OpenStore, object: &str) -> Result<(), StoreError> {
    let mut upload = store.create(object, 0).await?;
    for chunk in content(LENGTH).chunks(1 << 20) {
        upload.write(Bytes::copy_from_slice(chunk)).await?;
    }
    upload.finish().await
}

#[tokio::test]
async fn passing_faults_of_an_upload_are_repeated() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "passing").open().await;
    let faults = [
        (Method::POST, "uploads", Fault::Answer(503, "SlowDown")),
        (Method::POST, "uploads", Fault::LoseAnswer),
        (Method::PUT, "partNumber=1", Fault::CutRequest(1 << 20)),
        (Method::PUT, "partNumber=2", Fault::Answer(500, "InternalError")),
        (Method::PUT, "partNumber=2", Fault::LoseAnswer),
        (Method::PUT, "partNumber=3", Fault::Slow(Duration::from_millis(5))),
        // A completion may fail after its status was sent.
        (Method::POST, "uploadId", Fault::Answer(200, "InternalError")),
        (Method::HEAD, "passing", Fault::Answer(503, "SlowDown")),
    ];
    for (method, part, fault) in faults.clone() {
        proxy.fail(method, part, 1, fault);
    }
    store(&bucket, "a").await.unwrap();
    assert!(read(&bucket, "a").await.unwrap() == content(LENGTH));
    assert_eq!(proxy.count(Method::POST, "uploads"), 3);
    assert_eq!(proxy.count(Method::PUT, "partNumber=2"), 3);
}

#[tokio::test]
async fn completion_whose_answer_is_lost_is_found() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "completion").open().await;
    proxy.fail(Method::POST, "uploadId", 1, Fault::LoseAnswer);
    // The upload is unknown to the service when the completion is repeated.
    store(&bucket, "a").await.unwrap();
    assert!(read(&bucket, "a").await.unwrap() == content(LENGTH));
}

#[tokio::test]
async fn lasting_faults_are_reported_and_leave_nothing() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "lasting").open().await;
    for (method, part, fault, expected) in [
        (Method::PUT, "partNumber=2", Fault::Answer(403, "AccessDenied"), "refused to store an object (AccessDenied)"),
        (Method::PUT, "partNumber=2", Fault::Answer(403, "QuotaExceeded"), "is full (QuotaExceeded)"),
        (Method::PUT, "partNumber=2", Fault::Answer(507, "XMinioStorageFull"), "is full (XMinioStorageFull)"),
        (
            Method::POST,
            "uploadId",
            Fault::Answer(200, "InvalidPart"),
            "did not accept to store an object: it answered 200",
        ),
        (
            Method::POST,
            "uploads",
            Fault::Answer(501, "NotImplemented"),
            "did not accept to store an object: it answered 501",
        ),
    ] {
        proxy.forget();
        proxy.fail(method.clone(), part, 1, fault);
        let error = store(&bucket, "20261130-020000-000001.tar.gz").await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("SECRET"), "{error}");
        assert_eq!(proxy.count(method, part), 1, "{expected}");
        // What was begun is aborted.
        assert_eq!(proxy.count(Method::DELETE, "uploadId") > 0, part != "uploads", "{expected}");
    }
    assert_eq!(bucket.list().await.unwrap(), []);
    assert_eq!(bucket.remove_interrupted(Timestamp::MAX).await.unwrap(), 0);
}

#[tokio::test]
async fn overloaded_service_is_given_up_after_some_tries() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "overloaded").open().await;
    proxy.fail(Method::PUT, "overloaded", usize::MAX, Fault::Answer(503, "SlowDown"));
    let error = bucket.put("a", Bytes::new()).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    assert!(error.to_string().ends_with("is not available: it answered 503 (SlowDown)"), "{error}");
    assert_eq!(proxy.count(Method::PUT, "overloaded"), 6);
}

#[tokio::test]
async fn service_that_keeps_nothing_is_found_out() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "lying").open().await;
    proxy.fail(Method::PUT, "lying", 1, Fault::Swallow);
    let error = bucket.put("a", Bytes::from_static(b"content")).await.unwrap_err();
    assert!(matches!(error, StoreError::NotKept { expected: 7, found: None, .. }), "{error}");
    proxy.fail(Method::PUT, "partNumber=2", 1, Fault::Swallow);
    store(&bucket, "b").await.unwrap_err();
    proxy.fail(Method::POST, "uploadId", 1, Fault::Swallow);
    store(&bucket, "c").await.unwrap_err();
    assert_eq!(bucket.list().await.unwrap(), []);
}

#[tokio::test]
async fn answer_that_breaks_off_is_continued() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "continued").open().await;
    store(&bucket, "a").await.unwrap();
    for at in [0, 1, 3 << 20] {
        proxy.fail(Method::GET, "continued", 1, Fault::CutAnswer(at));
    }
    assert!(read(&bucket, "a").await.unwrap() == content(LENGTH));
    proxy.fail(Method::GET, "continued", usize::MAX, Fault::CutAnswer(1000));
    let error = read(&bucket, "a").await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn altered_answer_is_passed_on_for_verification() {
    let proxy = Proxy::start().await;
    let bucket = Place::bucket(&proxy.url, COPIES, "full", "altered").open().await;
    bucket.put("a", Bytes::from_static(b"0123")).await.unwrap();
    proxy.fail(Method::GET, "altered", 1, Fault::Flip(2));
    assert_eq!(read(&bucket, "a").await.unwrap(), b"0133");
    assert_eq!(read(&bucket, "a").await.unwrap(), b"0123");
}

#[tokio::test]
async fn service_that_is_not_there_is_unreachable() {
    // Nobody listens on this port of the test's own address.
    let bucket = Place::bucket("http://127.0.0.2:9", COPIES, "full", "").open().await;
    let error = bucket.list().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().starts_with("bucket copies at 127.0.0.2:9 could not be reached: "), "{error}");
}
