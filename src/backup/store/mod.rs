//! Stores of backups: a directory, or a bucket that speaks S3.
//!
//! A store of an instance is a flat set of objects, each written once and whole: what was not
//! finished is not listed. Nothing here knows the purpose of an object; [`crate::summary`] and
//! [`crate::retention`] do. What differs between the kinds of stores stays below this file.

mod directory;
mod error;
mod s3;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use mai_contract::job::{Destination, Store, Subject};

use crate::Places;
use directory::{Directory, PartialFile};
pub use error::StoreError;
use s3::{Bucket, BucketUpload};

/// The objects of one instance in one destination.
#[derive(Clone, Debug)]
pub struct OpenStore {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Directory(Directory),
    Bucket(Bucket),
}

/// Bytes of an object, in chunks of any size.
pub type ObjectStream = BoxStream<'static, Result<Bytes, StoreError>>;

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: u64,
    /// Time of its last change, by the store's clock.
    pub modified: Timestamp,
}

/// Result of the removal of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, or a version of it that only the service's versioning keeps.
    Removed,
    /// The store protects it, or the keys may not remove anything.
    KeptByStore,
}

/// An object that is being written. It exists under its name once it is finished.
#[derive(Debug)]
pub struct Upload(UploadKind);

#[derive(Debug)]
enum UploadKind {
    File(PartialFile),
    Bucket(Box<BucketUpload>),
}

impl OpenStore {
    /// Opens a destination for the backups of an instance. Sends nothing yet.
    pub async fn open(destination: &Destination, subject: &Subject, places: &Places) -> Result<Self, StoreError> {
        let kind = match &destination.store {
            Store::Volume => Kind::Directory(Directory::open_root(&places.backups).await?),
            Store::Directory(path) => Kind::Directory(Directory::open_below(path, subject).await?),
            Store::S3(s3) => {
                let segments = segments(subject, &format!("bucket {}", s3.bucket))?;
                Kind::Bucket(Bucket::open(s3, &segments, &places.secrets).await?)
            }
        };
        Ok(Self { name: destination.name.clone(), kind })
    }

    /// Opens the directory `below` a destination to read from it. Makes nothing.
    pub(crate) async fn open_to_read(
        destination: &Destination,
        below: &[&str],
        places: &Places,
    ) -> Result<Self, StoreError> {
        let kind = match &destination.store {
            Store::Volume => Kind::Directory(Directory::open_existing(&places.backups, below).await?),
            Store::Directory(path) => Kind::Directory(Directory::open_existing(path, below).await?),
            Store::S3(s3) => Kind::Bucket(Bucket::open(s3, below, &places.secrets).await?),
        };
        Ok(Self { name: destination.name.clone(), kind })
    }

    /// Returns namespace and name of each instance that may have backups in a destination, by the
    /// folders there. Sends nothing else and makes nothing.
    pub async fn subjects(destination: &Destination, places: &Places) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = match &destination.store {
            Store::Volume => Vec::new(),
            Store::Directory(path) => Directory::folders(path).await?,
            Store::S3(s3) => Bucket::folders(s3, &places.secrets).await?,
        };
        found.retain(|(namespace, name)| is_plain(namespace) && is_plain(name));
        found.sort();
        Ok(found)
    }

    /// Name of the destination.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Begins an object of about `expected_bytes`, at most 1.2 times as many. An object of that
    /// name is replaced when the new one is finished.
    pub async fn create(&self, object: &str, expected_bytes: u64) -> Result<Upload, StoreError> {
        self.check_name(object)?;
        Ok(Upload(match &self.kind {
            Kind::Directory(directory) => UploadKind::File(directory.create(object).await?),
            Kind::Bucket(bucket) => UploadKind::Bucket(Box::new(bucket.create(object, expected_bytes)?)),
        }))
    }

    /// Stores a small object.
    pub async fn put(&self, object: &str, content: Bytes) -> Result<(), StoreError> {
        let mut upload = self.create(object, content.len() as u64).await?;
        upload.write(content).await?;
        upload.finish().await
    }

    /// Returns the content of an object, as the store has it.
    pub async fn read(&self, object: &str) -> Result<ObjectStream, StoreError> {
        self.check_name(object)?;
        Ok(self.read_file(object).await?.0)
    }

    /// Returns a file that need not be an object of a backup, and its size in bytes.
    pub(crate) async fn read_file(&self, name: &str) -> Result<(ObjectStream, u64), StoreError> {
        match &self.kind {
            Kind::Directory(directory) => directory.read(name).await,
            Kind::Bucket(bucket) => bucket.read(name).await,
        }
    }

    /// Returns all finished objects, in no particular order.
    pub async fn list(&self) -> Result<Vec<StoredObject>, StoreError> {
        match &self.kind {
            Kind::Directory(directory) => directory.list().await,
            Kind::Bucket(bucket) => bucket.list().await,
        }
    }

    /// Removes an object; one that is not there counts as removed.
    pub async fn remove(&self, object: &str) -> Result<Removal, StoreError> {
        self.check_name(object)?;
        match &self.kind {
            Kind::Directory(directory) => directory.remove(object).await,
            Kind::Bucket(bucket) => bucket.remove(object).await,
        }
    }

    /// Removes what interrupted uploads left behind, in a bucket those that began before `before`.
    /// Returns their number; zero where the service does not tell.
    pub async fn remove_interrupted(&self, before: Timestamp) -> Result<u32, StoreError> {
        match &self.kind {
            Kind::Directory(directory) => directory.remove_interrupted().await,
            Kind::Bucket(bucket) => bucket.abort_interrupted(before).await,
        }
    }

    fn check_name(&self, object: &str) -> Result<(), StoreError> {
        if is_plain(object) {
            return Ok(());
        }
        let problem = format!("{object:?} is not the name of an object of a backup");
        Err(StoreError::Invalid { place: format!("destination {}", self.name), problem })
    }
}

impl Upload {
    /// Appends a chunk. After a failure nothing is left to finish; [`Upload::abort`] removes what
    /// is there.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        match &mut self.0 {
            UploadKind::File(file) => file.write(chunk).await,
            UploadKind::Bucket(upload) => upload.write(chunk).await,
        }
    }

    /// Completes the object and compares its size with what was written. Leaves nothing behind when
    /// it fails.
    pub async fn finish(self) -> Result<(), StoreError> {
        match self.0 {
            UploadKind::File(file) => file.finish().await,
            UploadKind::Bucket(upload) => upload.finish().await,
        }
    }

    /// Gives the object up and removes what was written of it.
    pub async fn abort(self) {
        match self.0 {
            UploadKind::File(file) => drop(file),
            UploadKind::Bucket(upload) => upload.abort().await,
        }
    }
}

/// Returns true for a name that is one segment of a path and not a hidden file.
fn is_plain(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=200).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(is_allowed)
}

/// Returns the namespace and the name of an instance as segments of a path.
fn segments<'a>(subject: &'a Subject, place: &str) -> Result<[&'a str; 2], StoreError> {
    let segments = [subject.namespace.as_str(), subject.name.as_str()];
    if let Some(bad) = segments.iter().find(|segment| !is_plain(segment)) {
        let problem = format!("{bad:?} of the instance cannot be a part of a path");
        return Err(StoreError::Invalid { place: place.to_owned(), problem });
    }
    Ok(segments)
}
