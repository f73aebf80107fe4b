//! Objects in buckets of a real service: each kind of keys, of buckets and of addresses.

use bytes::Bytes;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use mai_backup::store::{OpenStore, Removal, StoreError};

use crate::fixtures::s3::{COPIES, LOCKED, Place, S3Server, VERSIONED, read};
use crate::fixtures::s3_proxy::{Fault, Proxy};

const MIB: usize = 1 << 20;

/// Returns bytes that are the same nowhere else in them.
pub fn content(length: usize) -> Bytes {
    (0..length.div_ceil(4)).flat_map(|number| (number as u32).to_le_bytes()).take(length).collect()
}

#[tokio::test]
async fn objects_of_all_sizes_are_read_back_as_stored() {
    let proxy = Proxy::start().await;
    let store = Place::bucket(&proxy.url, COPIES, "full", "sizes").open().await;
    for (name, length) in [("0", 0), ("1", 1), ("5", 5 * MIB), ("5.1", 5 * MIB + 1), ("12", 12 * MIB)] {
        let mut upload = store.create(name, 1).await.unwrap();
        let whole = content(length);
        // Chunks that fit no part.
        for chunk in whole.chunks(700_001) {
            upload.write(whole.slice_ref(chunk)).await.unwrap();
        }
        upload.finish().await.unwrap();
        assert!(read(&store, name).await.unwrap() == whole, "{name}");
    }
    assert_eq!(proxy.count(Method::PUT, "partNumber"), 2 + 3);
    let mut found: Vec<_> = store.list().await.unwrap().into_iter().map(|object| (object.name, object.bytes)).collect();
    found.sort();
    let expected = [("0", 0), ("1", 1), ("12", 12 * MIB), ("5", 5 * MIB), ("5.1", 5 * MIB + 1)];
    assert_eq!(found, expected.map(|(name, bytes)| (name.to_owned(), bytes as u64)));
}

#[tokio::test]
async fn object_exists_once_it_is_finished() {
    let proxy = Proxy::start().await;
    let store = Place::bucket(&proxy.url, COPIES, "full", "unfinished").open().await;
    let name = "20261130-020000-000001.tar.gz";
    let mut upload = store.create(name, 0).await.unwrap();
    upload.write(content(12 * MIB)).await.unwrap();
    assert_eq!(store.list().await.unwrap(), []);
    upload.abort().await;
    assert_eq!(store.remove_interrupted(Timestamp::MAX).await.unwrap(), 0);
    let missing = read(&store, name).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
}

#[tokio::test]
async fn instances_and_prefixes_do_not_mix() {
    let proxy = Proxy::start().await;
    for prefix in ["", "plain", "two/levels", "with space", "zażółć", "a+b&c=d", "per%20cent", "till~e*"] {
        let place = Place::bucket(&proxy.url, COPIES, "full", prefix);
        let store = place.open().await;
        store.put("a", prefix.to_owned().into()).await.unwrap();
        let mut other = Place::bucket(&proxy.url, COPIES, "full", prefix);
        // Begins with the name of the first.
        other.subject.name = "acme-2".to_owned();
        other.open().await.put("b", Bytes::new()).await.unwrap();
        assert_eq!(read(&store, "a").await.unwrap(), prefix.as_bytes());
        let names: Vec<_> = store.list().await.unwrap().into_iter().map(|object| object.name).collect();
        assert_eq!(names, ["a"], "{prefix}");
        let mut found = OpenStore::subjects(&place.destination, &place.places()).await.unwrap();
        // Without a prefix, those of all others begin there.
        found.retain(|(namespace, _)| namespace == "default");
        assert_eq!(found, ["acme", "acme-2"].map(|name| ("default".to_owned(), name.to_owned())), "{prefix}");
    }
    for prefix in ["..", "a/../b", "a//b", "line\nbreak"] {
        let refused = Place::bucket(&proxy.url, COPIES, "full", prefix).try_open().await.unwrap_err();
        assert!(matches!(refused, StoreError::Invalid { .. }), "{prefix:?}: {refused}");
    }
    let refused = Place::bucket(&proxy.url, COPIES, "full", "").open().await.read("../b/x").await.err().unwrap();
    assert!(matches!(refused, StoreError::Invalid { .. }), "{refused}");
}

#[tokio::test]
async fn lists_of_many_pages_are_read_whole() {
    let proxy = Proxy::start().await;
    let store = Place::bucket(&proxy.url, COPIES, "full", "many").open().await;
    assert_eq!(store.list().await.unwrap().len(), 1100);
    assert_eq!(proxy.count(Method::GET, "list-type=2"), 2);
}

#[tokio::test]
async fn keys_that_only_write_store_and_read_nothing() {
    let proxy = Proxy::start().await;
    let store = Place::bucket(&proxy.url, COPIES, "writer", "write-only").open().await;
    store.put("a", Bytes::from_static(b"small")).await.unwrap();
    let mut upload = store.create("b", 0).await.unwrap();
    upload.write(content(6 * MIB)).await.unwrap();
    upload.finish().await.unwrap();
    for refused in [read(&store, "a").await.map(drop), store.list().await.map(drop)] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, StoreError::Refused { .. }), "{refused}");
        assert!(refused.to_string().contains("allow it in the policy"), "{refused}");
    }
    assert_eq!(store.remove("a").await.unwrap(), Removal::KeptByStore);
    assert_eq!(store.remove_interrupted(Timestamp::now()).await.unwrap(), 0);
    let owner = Place::bucket(&proxy.url, COPIES, "full", "write-only").open().await;
    assert_eq!(read(&owner, "a").await.unwrap(), b"small");
    assert!(read(&owner, "b").await.unwrap() == content(6 * MIB));
}

#[tokio::test]
async fn removal_is_told_from_protection() {
    let proxy = Proxy::start().await;
    let plain = Place::bucket(&proxy.url, COPIES, "full", "removal").open().await;
    let versioned = Place::bucket(&proxy.url, VERSIONED, "full", "removal").open().await;
    for store in [plain, versioned] {
        store.put("a", Bytes::new()).await.unwrap();
        assert_eq!(store.remove("a").await.unwrap(), Removal::Removed);
        assert_eq!(store.remove("a").await.unwrap(), Removal::Removed);
        assert_eq!(store.list().await.unwrap(), []);
    }
    let keeper = Place::bucket(&proxy.url, COPIES, "keeper", "removal").open().await;
    keeper.put("a", Bytes::new()).await.unwrap();
    assert_eq!(keeper.remove("a").await.unwrap(), Removal::KeptByStore);
    // As MinIO and Google word it.
    for (status, code) in [(400, "InvalidRequest"), (403, "RetentionPolicyNotMet")] {
        proxy.fail(Method::DELETE, "removal", 1, Fault::Answer(status, code));
        assert_eq!(keeper.remove("a").await.unwrap(), Removal::KeptByStore, "{code}");
    }
    proxy.fail(Method::DELETE, "removal", 1, Fault::Answer(403, "SignatureDoesNotMatch"));
    assert!(matches!(keeper.remove("a").await, Err(StoreError::Refused { .. })));
}

#[tokio::test]
async fn locked_objects_outlive_their_removal() {
    let proxy = Proxy::start().await;
    let store = Place::bucket(&proxy.url, LOCKED, "full", "lock").open().await;
    store.put("a", Bytes::from_static(b"kept")).await.unwrap();
    match store.remove("a").await.unwrap() {
        // The version stays behind a marker.
        Removal::Removed => assert_eq!(store.list().await.unwrap(), []),
        Removal::KeptByStore => assert_eq!(read(&store, "a").await.unwrap(), b"kept"),
    }
}

#[tokio::test]
async fn wrong_keys_and_buckets_are_named_without_secrets() {
    let proxy = Proxy::start().await;
    let unknown = Place::bucket(&proxy.url, COPIES, "full", "wrong");
    unknown.write_secret("id", "AKIAUNKNOWNUNKNOWN00");
    let wrong = Place::bucket(&proxy.url, COPIES, "full", "wrong");
    wrong.write_secret("secret", "not-the-secret");
    for (place, code) in [(unknown, "InvalidAccessKeyId"), (wrong, "SignatureDoesNotMatch")] {
        let store = place.open().await;
        for error in [
            store.put("a", Bytes::new()).await.unwrap_err(),
            store.list().await.unwrap_err(),
            read(&store, "a").await.unwrap_err(),
            store.remove("a").await.unwrap_err(),
        ] {
            assert!(matches!(&error, StoreError::Refused { code: Some(found), .. } if found == code), "{error}");
            let text = format!("{error} {error:?}");
            assert!(text.contains("correct the access key id"), "{text}");
            for secret in ["AKIA", "not-the-secret", "Signature=", "X-Amz"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert_eq!(proxy.count(Method::PUT, "wrong"), 1, "a refusal is not repeated");
        proxy.forget();
    }
    let missing = Place::bucket(&proxy.url, "no-such-bucket", "full", "").open().await;
    let mut upload = missing.create("a", 0).await.unwrap();
    let large = upload.write(content(6 * MIB)).await.unwrap_err();
    for error in [large, missing.put("a", Bytes::new()).await.unwrap_err(), missing.list().await.unwrap_err()] {
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(error.to_string().starts_with("bucket no-such-bucket at 127.0.0.1:"), "{error}");
    }
}

#[tokio::test]
async fn secrets_are_read_when_a_store_is_opened() {
    let place = Place::bucket("http://127.0.0.1:1", COPIES, "full", "secrets");
    std::fs::remove_file(place.places().secrets.join("secret")).unwrap();
    let error = place.try_open().await.unwrap_err();
    assert!(matches!(error, StoreError::Secret(_)), "{error}");
    assert!(error.to_string().contains("secrets/secret could not be read"), "{error}");
}

#[tokio::test]
async fn only_the_declared_authority_is_trusted() {
    let proxy = Proxy::start_tls().await;
    let trusting = Place::bucket(&proxy.url, COPIES, "full", "tls").with(|s3| s3.ca = Some("ca".to_owned()));
    trusting.write_secret("ca", &S3Server::get().tls.ca);
    let store = trusting.open().await;
    store.put("a", Bytes::from_static(b"secure")).await.unwrap();
    assert_eq!(read(&store, "a").await.unwrap(), b"secure");
    let unaware = Place::bucket(&proxy.url, COPIES, "full", "tls").open().await;
    let error = unaware.list().await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        trusting.write_secret("ca", text);
        let error = trusting.try_open().await.unwrap_err().to_string();
        assert!(error.contains("the file of ca") && error.contains("in PEM"), "{error}");
    }
}

#[tokio::test]
async fn interrupted_uploads_are_aborted_by_age() {
    let proxy = Proxy::start().await;
    let store = Place::bucket(&proxy.url, COPIES, "full", "interrupted").open().await;
    for name in ["20261130-020000-000001.tar.gz", "foreign.tar.gz"] {
        let mut upload = store.create(name, 0).await.unwrap();
        upload.write(content(6 * MIB)).await.unwrap();
        // As if the program was killed.
        drop(upload);
    }
    let future = SignedDuration::from_hours(1);
    // This service tells the same time of all, in 2010.
    assert_eq!(store.remove_interrupted(Timestamp::UNIX_EPOCH).await.unwrap(), 0);
    proxy.fail(Method::GET, "uploads", 1, Fault::Answer(403, "AccessDenied"));
    assert_eq!(store.remove_interrupted(Timestamp::now() + future).await.unwrap(), 0);
    assert_eq!(store.remove_interrupted(Timestamp::now() + future).await.unwrap(), 1);
    assert_eq!(store.remove_interrupted(Timestamp::now() + future).await.unwrap(), 0);
}
