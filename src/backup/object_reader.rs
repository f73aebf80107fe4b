//! Reads a stored object from synchronous code.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures::StreamExt;
use tokio::runtime::Handle;

use crate::BackupError;
use crate::store::{ObjectStream, OpenStore};

/// Content of an object of a store.
pub(crate) struct ObjectReader {
    stream: ObjectStream,
    chunk: Bytes,
    runtime: Handle,
}

/// Runs `work` on the content of an object, on a thread where it may block.
pub(crate) async fn read_object<T: Send + 'static>(
    store: &OpenStore,
    object: &str,
    work: impl FnOnce(ObjectReader) -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    read_stream(store.read(object).await?, work).await
}

/// Runs `work` on the content of a stream, on a thread where it may block.
pub(crate) async fn read_stream<T: Send + 'static>(
    stream: ObjectStream,
    work: impl FnOnce(ObjectReader) -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let reader = ObjectReader { stream, chunk: Bytes::new(), runtime: Handle::current() };
    blocking(move || work(reader)).await
}

/// Runs `work` on a thread where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| BackupError::Archive(io::Error::other(error)))?
}

/// A failure of the store is the inner error of the one that is returned.
impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(chunk) => self.chunk = chunk.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
