//! A bucket as a store.
//!
//! [`connection`] sends requests and turns each failure into a [`failure::Failure`]; `object_store`
//! in between signs, repeats what may succeed later and reads lists; here its errors are read back.

mod connection;
mod failure;
mod interrupted;
mod upload;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use mai_contract::job::S3;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, GetOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use secrecy::ExposeSecret;
use url::Url;

use super::{ObjectStream, Removal, StoreError, StoredObject};
use crate::read_secret;
use connection::{Connection, Patience};
use failure::{Operation, classify, classify_removal};
pub(super) use upload::BucketUpload;

/// Region in signatures for a service that has none.
const DEFAULT_REGION: &str = "us-east-1";
/// Requests are repeated this often, after 0.2 s at first and some 6 s in all.
const RETRIES: usize = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// A signature is valid for 15 minutes, and a repeated request keeps its own.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// An interrupted answer is continued by a request of its own, however late.
const READ_RETRY_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The objects of one instance in a bucket. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    writer: Arc<AmazonS3>,
    reader: Arc<AmazonS3>,
    connection: Connection,
    url: Url,
    region: String,
    prefix: Key,
    /// The bucket in messages.
    place: String,
}

impl Bucket {
    /// Opens the objects whose keys begin with the prefix and the segments `below` it.
    pub(super) async fn open(s3: &S3, below: &[&str], secrets: &Path) -> Result<Self, StoreError> {
        let place = match &s3.endpoint {
            Some(endpoint) => format!("bucket {} at {}", s3.bucket, without_credentials(endpoint)),
            None => format!("bucket {}", s3.bucket),
        };
        let invalid = |problem: String| StoreError::Invalid { place: place.clone(), problem };
        let region = s3.region.clone().unwrap_or_else(|| DEFAULT_REGION.to_owned());
        let url = bucket_url(s3, &region).map_err(invalid)?;
        let segments: Vec<_> = Some(s3.prefix.as_str())
            .filter(|prefix| !prefix.is_empty())
            .into_iter()
            .chain(below.iter().copied())
            .collect();
        let folder = segments.join("/");
        let prefix = Key::parse(&folder)
            .ok()
            .filter(|key| key.as_ref() == folder)
            .ok_or_else(|| invalid(format!("{folder:?} is not part of a valid key; correct prefix or path")))?;
        let key_id = read_secret(secrets, &s3.access_key_id)?;
        let secret = read_secret(secrets, &s3.secret_access_key)?;
        let ca = s3.ca.as_deref().map(|name| read_secret(secrets, name)).transpose()?;
        let is_tls = url.scheme() == "https";
        let connection = tokio::task::spawn_blocking(move || {
            // Reading the certificates of a system takes some time.
            Connection::new(is_tls, ca.as_ref().map(|pem| pem.expose_secret().as_bytes()), Patience::default())
        });
        let connection = connection.await.unwrap_or_else(|error| Err(error.to_string())).map_err(invalid)?;
        let client = |retry_timeout| {
            let backoff = BackoffConfig { init_backoff: FIRST_BACKOFF, max_backoff: LONGEST_BACKOFF, base: 2.0 };
            AmazonS3Builder::new()
                .with_bucket_name(&s3.bucket)
                .with_region(&region)
                // The URL names the bucket already, in whichever style.
                .with_endpoint(url.as_str().trim_end_matches('/'))
                .with_virtual_hosted_style_request(true)
                .with_access_key_id(key_id.expose_secret())
                .with_secret_access_key(secret.expose_secret())
                .with_http_connector(connection.clone())
                .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout })
                // Some services have no bulk removal, and it hides which object was refused.
                .with_disable_bulk_delete(true)
                .build()
                .map(Arc::new)
                .map_err(|error| invalid(error.to_string()))
        };
        let (writer, reader) = (client(RETRY_TIMEOUT)?, client(READ_RETRY_TIMEOUT)?);
        Ok(Self { writer, reader, connection, url, region, prefix, place })
    }

    /// Returns the names of the folders in the folders below the prefix.
    pub(super) async fn folders(s3: &S3, secrets: &Path) -> Result<Vec<(String, String)>, StoreError> {
        let bucket = Self::open(s3, &[], secrets).await?;
        let mut found = Vec::new();
        for namespace in bucket.folders_in(&bucket.prefix).await? {
            let names = bucket.folders_in(&namespace).await?;
            found.extend(
                names.iter().filter_map(|name| Some((namespace.filename()?.to_owned(), name.filename()?.to_owned()))),
            );
        }
        Ok(found)
    }

    async fn folders_in(&self, folder: &Key) -> Result<Vec<Key>, StoreError> {
        let listed = self.writer.list_with_delimiter(Some(folder)).await;
        Ok(listed.map_err(|error| self.failed(&error, Operation::List, ""))?.common_prefixes)
    }

    pub(super) fn create(&self, object: &str, expected_bytes: u64) -> Result<BucketUpload, StoreError> {
        Ok(BucketUpload::new(self.clone(), object, expected_bytes))
    }

    /// Returns the content of an object, and its size.
    pub(super) async fn read(&self, object: &str) -> Result<(ObjectStream, u64), StoreError> {
        let result = self.reader.get_opts(&self.key(object), GetOptions::default()).await;
        let answer = result.map_err(|error| self.failed(&error, Operation::Read, object))?;
        let (bucket, object, bytes) = (self.clone(), object.to_owned(), answer.meta.size);
        let stream = answer.into_stream().map_err(move |error| bucket.failed(&error, Operation::Read, &object));
        Ok((stream.boxed(), bytes))
    }

    /// Returns the size of an object.
    async fn size(&self, object: &str) -> Result<u64, StoreError> {
        let head = self.writer.head(&self.key(object)).await;
        Ok(head.map_err(|error| self.failed(&error, Operation::Read, object))?.size)
    }

    pub(super) async fn list(&self) -> Result<Vec<StoredObject>, StoreError> {
        let listed = self.writer.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|error| self.failed(&error, Operation::List, ""))?;
        let prefix = format!("{}/", self.prefix);
        let objects = listed.objects.into_iter().filter_map(|object| {
            let name = object.location.as_ref().strip_prefix(&prefix)?.to_owned();
            let modified = Timestamp::from_millisecond(object.last_modified.timestamp_millis()).ok()?;
            super::is_plain(&name).then_some(StoredObject { name, bytes: object.size, modified })
        });
        Ok(objects.collect())
    }

    pub(super) async fn remove(&self, object: &str) -> Result<Removal, StoreError> {
        match self.writer.delete(&self.key(object)).await {
            Ok(()) => Ok(Removal::Removed),
            Err(error) => classify_removal(&error, object, &self.place),
        }
    }

    fn key(&self, object: &str) -> Key {
        self.prefix.clone().join(object)
    }

    fn failed(&self, error: &(dyn Error + 'static), operation: Operation, object: &str) -> StoreError {
        classify(error, operation, object, &self.place)
    }
}

/// Returns the URL of the bucket, or the problem and its remedy.
fn bucket_url(s3: &S3, region: &str) -> Result<Url, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if s3.bucket.is_empty() || !s3.bucket.bytes().all(is_name) || s3.bucket.starts_with('.') {
        return Err("its name is not that of a bucket; correct bucket".to_owned());
    }
    let default = format!("https://s3.{region}.amazonaws.com");
    let endpoint = s3.endpoint.as_deref().unwrap_or(&default);
    let remedy = "it has to be one such as https://s3.example.com";
    let mut url = Url::parse(endpoint).map_err(|error| format!("endpoint is no URL ({error}); {remedy}"))?;
    let host = url.host_str().map(str::to_owned).filter(|_| matches!(url.scheme(), "http" | "https"));
    let Some(host) = host.filter(|_| url.query().is_none() && url.fragment().is_none()) else {
        return Err(format!("endpoint is no URL of a service; {remedy}"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("endpoint holds credentials; {remedy}, and the keys are in a Secret"));
    }
    if s3.path_style {
        let path = format!("{}/{}", url.path().trim_end_matches('/'), s3.bucket);
        url.set_path(&path);
    } else {
        let problem = "the bucket cannot be a part of the endpoint's host name; set pathStyle".to_owned();
        if host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
            return Err(problem);
        }
        url.set_host(Some(&format!("{}.{host}", s3.bucket))).map_err(|_| problem)?;
    }
    Ok(url)
}

/// Returns an endpoint for messages.
fn without_credentials(endpoint: &str) -> &str {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn s3(endpoint: Option<&str>, path_style: bool) -> S3 {
        let text = |text: &str| text.to_owned();
        S3 {
            bucket: text("copies"),
            endpoint: endpoint.map(text),
            region: None,
            prefix: String::new(),
            path_style,
            access_key_id: text("id"),
            secret_access_key: text("secret"),
            ca: None,
        }
    }

    #[test]
    fn bucket_url_follows_endpoint_and_style() {
        for (endpoint, path_style, url) in [
            (None, false, "https://copies.s3.eu-1.amazonaws.com/"),
            (None, true, "https://s3.eu-1.amazonaws.com/copies"),
            (Some("https://s3.example.com"), false, "https://copies.s3.example.com/"),
            (Some("http://s3.example.com:9000/"), true, "http://s3.example.com:9000/copies"),
            (Some("https://example.com/s3/"), true, "https://example.com/s3/copies"),
            (Some("http://127.0.0.1:9000"), true, "http://127.0.0.1:9000/copies"),
        ] {
            assert_eq!(bucket_url(&s3(endpoint, path_style), "eu-1").unwrap().as_str(), url);
        }
        for (endpoint, problem) in [
            ("s3.example.com", "endpoint is no URL"),
            ("ftp://s3.example.com", "endpoint is no URL of a service"),
            ("https://id:key@s3.example.com", "endpoint holds credentials"),
            ("https://s3.example.com/?x=1", "endpoint is no URL of a service"),
            ("http://127.0.0.1:9000", "set pathStyle"),
        ] {
            let error = bucket_url(&s3(Some(endpoint), false), "eu-1").unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        assert_eq!(without_credentials("https://id:key@s3.example.com/a"), "s3.example.com");
    }
}
