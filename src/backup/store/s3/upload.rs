//! An upload to a bucket: one request for a small object, else parts, of which two are on their way
//! and one is being filled.

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use super::failure::Operation;
use super::{Bucket, StoreError};

/// Smallest part that S3 accepts.
const SMALLEST_PART: u64 = 5 << 20;
/// Of the 10,000 parts that S3 accepts, so that an object may become a quarter longer than expected.
const PARTS: u64 = 8_000;
/// Parts on their way at a time.
const CONCURRENT_PARTS: usize = 2;

/// An object that is being written.
#[derive(Debug)]
pub(in crate::store) struct BucketUpload {
    bucket: Bucket,
    object: String,
    part_bytes: usize,
    /// The part that is being filled.
    part: Vec<Bytes>,
    filled: usize,
    /// Bytes of the whole object so far.
    bytes: u64,
    /// Present from the second part on.
    parts: Option<Parts>,
    failure: Option<&'static str>,
}

#[derive(Debug)]
struct Parts {
    upload: Box<dyn MultipartUpload>,
    pending: JoinSet<object_store::Result<()>>,
}

impl BucketUpload {
    pub(super) fn new(bucket: Bucket, object: &str, expected_bytes: u64) -> Self {
        let part_bytes = usize::try_from(part_bytes(expected_bytes)).unwrap_or(usize::MAX);
        let object = object.to_owned();
        Self { bucket, object, part_bytes, part: Vec::new(), filled: 0, bytes: 0, parts: None, failure: None }
    }

    pub(in crate::store) async fn write(&mut self, mut chunk: Bytes) -> Result<(), StoreError> {
        self.check()?;
        while !chunk.is_empty() {
            // A full part goes when more follows, so that there is a last one to end with.
            if self.filled == self.part_bytes {
                self.send_part().await?;
            }
            let piece = chunk.split_to(chunk.len().min(self.part_bytes - self.filled));
            self.filled += piece.len();
            self.bytes += piece.len() as u64;
            self.part.push(piece);
        }
        Ok(())
    }

    pub(in crate::store) async fn finish(mut self) -> Result<(), StoreError> {
        self.check()?;
        if self.parts.is_none() {
            let payload: PutPayload = std::mem::take(&mut self.part).into_iter().collect();
            let put = self.bucket.writer.put(&self.bucket.key(&self.object), payload).await;
            put.map_err(|error| self.failed(&error))?;
            return self.check_size().await;
        }
        self.send_part().await?;
        let completed = match &mut self.parts {
            Some(parts) => match settle(&mut parts.pending, 0).await {
                Ok(()) => parts.upload.complete().await.map(drop),
                Err(error) => Err(error),
            },
            None => Ok(()),
        };
        let Err(error) = completed else { return self.check_size().await };
        let failure = self.failed(&error);
        // The answer to a completion may be lost, and then the upload is unknown when it is repeated.
        let is_complete = match &failure {
            StoreError::Unreachable { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Rejected { status: 404, .. } => {
                self.bucket.size(&self.object).await.is_ok_and(|size| size == self.bytes)
            }
            _ => false,
        };
        if is_complete {
            return Ok(());
        }
        self.abort().await;
        Err(failure)
    }

    pub(in crate::store) async fn abort(mut self) {
        self.abandon().await;
    }

    async fn send_part(&mut self) -> Result<(), StoreError> {
        let sent = self.try_send_part().await;
        if let Err(error) = sent {
            let failure = self.failed(&error);
            self.abandon().await;
            return Err(failure);
        }
        Ok(())
    }

    async fn try_send_part(&mut self) -> object_store::Result<()> {
        let payload: PutPayload = std::mem::take(&mut self.part).into_iter().collect();
        self.filled = 0;
        let parts = match &mut self.parts {
            Some(parts) => parts,
            None => {
                let upload = self.bucket.writer.put_multipart(&self.bucket.key(&self.object)).await?;
                self.parts.insert(Parts { upload, pending: JoinSet::new() })
            }
        };
        settle(&mut parts.pending, CONCURRENT_PARTS - 1).await?;
        parts.pending.spawn(parts.upload.put_part(payload));
        Ok(())
    }

    /// Gives up the parts, so that the service does not keep them.
    async fn abandon(&mut self) {
        self.failure = Some("the upload was given up after a failure");
        self.part.clear();
        if let Some(mut parts) = self.parts.take() {
            parts.pending.shutdown().await;
            // Where this is impossible as well, a later run removes them.
            let _ = parts.upload.abort().await;
        }
    }

    /// Compares the size of the stored object with what was sent. Keys that may not read cannot
    /// tell.
    async fn check_size(&self) -> Result<(), StoreError> {
        let found = match self.bucket.size(&self.object).await {
            Ok(size) if size == self.bytes => return Ok(()),
            Ok(size) => Some(size),
            Err(StoreError::NotFound { .. }) => None,
            Err(StoreError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let (object, place) = (self.object.clone(), self.bucket.place.clone());
        Err(StoreError::NotKept { object, place, expected: self.bytes, found })
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.failure {
            Some(cause) => Err(StoreError::Unreachable { place: self.bucket.place.clone(), cause: cause.to_owned() }),
            None => Ok(()),
        }
    }

    fn failed(&self, error: &object_store::Error) -> StoreError {
        self.bucket.failed(error, Operation::Store, &self.object)
    }
}

/// Waits until at most `limit` parts are on their way.
async fn settle(pending: &mut JoinSet<object_store::Result<()>>, limit: usize) -> object_store::Result<()> {
    while pending.len() > limit {
        match pending.join_next().await {
            Some(Ok(result)) => result?,
            Some(Err(source)) => return Err(object_store::Error::JoinError { source }),
            None => break,
        }
    }
    Ok(())
}

/// Returns the size of the parts of an object of this size.
fn part_bytes(expected_bytes: u64) -> u64 {
    expected_bytes.div_ceil(PARTS).max(SMALLEST_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_so_that_ten_thousand_suffice() {
        const GIB: u64 = 1 << 30;
        assert_eq!(part_bytes(0), SMALLEST_PART);
        assert_eq!(part_bytes(39 * GIB), SMALLEST_PART);
        for size in [40 * GIB, 500 * GIB, 4096 * GIB] {
            assert!((size + size / 5).div_ceil(part_bytes(size)) <= 10_000, "{size}");
        }
    }
}
