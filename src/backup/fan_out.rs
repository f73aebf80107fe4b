//! Delivers one stream of bytes to several uploads at once. The slowest sets the pace, so nothing
//! is kept for it; one that fails or stalls drops out with a result of its own.

use std::io::{self, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::Progress;
use crate::store::{StoreError, Upload};

/// Time without progress after which a destination is given up.
pub(crate) const STALL: Duration = Duration::from_secs(120);
/// Time to remove what a given-up upload has stored.
const ABORT: Duration = Duration::from_secs(5);
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks that wait for the destinations, and for each of them.
const QUEUE: usize = 2;

/// Failure to store an archive in one destination.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store took nothing more for [`STALL`].
    #[error("it took nothing for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The archive was given up, for a cause told elsewhere.
    #[error("the archive was not finished")]
    Unfinished,
}

/// A part of the stream.
#[derive(Clone)]
enum Piece {
    Chunk(Bytes),
    /// The stream is complete. Without it, it was given up.
    End,
}

/// The end of the stream that is written to, where blocking is allowed.
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<Piece>,
    chunk: BytesMut,
}

impl ChunkWriter {
    /// Completes the stream. Dropped without this, it is given up.
    pub(crate) fn complete(self) -> io::Result<()> {
        self.send(Piece::End)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "no destination takes the archive any more");
        self.sender.blocking_send(piece).map_err(gone)
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK_BYTES - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        if self.chunk.len() == CHUNK_BYTES {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, BytesMut::with_capacity(CHUNK_BYTES)).freeze();
        self.send(Piece::Chunk(chunk))
    }
}

/// The end of the stream that is delivered.
pub(crate) struct FanOut {
    receiver: mpsc::Receiver<Piece>,
    stall: Duration,
}

/// Returns both ends of a stream.
pub(crate) fn fan_out(stall: Duration) -> (ChunkWriter, FanOut) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (ChunkWriter { sender, chunk: BytesMut::with_capacity(CHUNK_BYTES) }, FanOut { receiver, stall })
}

impl FanOut {
    /// Delivers the stream until its end, or until nobody takes it any more. Returns the results in
    /// the order of `uploads`.
    pub(crate) async fn deliver(self, uploads: Vec<Upload>, progress: &Progress) -> Vec<Result<(), DeliveryError>> {
        let Self { receiver, stall } = self;
        let (senders, deliveries): (Vec<_>, Vec<_>) = uploads
            .into_iter()
            .map(|upload| {
                let (sender, pieces) = mpsc::channel(QUEUE);
                (sender, deliver(upload, pieces, stall, progress))
            })
            .unzip();
        let (results, ()) = tokio::join!(join_all(deliveries), distribute(receiver, senders, progress));
        results
    }
}

/// Passes each piece to all that still take one.
async fn distribute(mut receiver: mpsc::Receiver<Piece>, mut senders: Vec<mpsc::Sender<Piece>>, progress: &Progress) {
    while !senders.is_empty() {
        let piece = tokio::select! {
            () = progress.stopped() => None,
            piece = receiver.recv() => piece,
        };
        let Some(piece) = piece else { break };
        let mut remaining = Vec::with_capacity(senders.len());
        for sender in senders {
            // Fails where its delivery has ended; that has the cause.
            if sender.send(piece.clone()).await.is_ok() {
                remaining.push(sender);
            }
        }
        senders = remaining;
    }
}

async fn deliver(
    mut upload: Upload,
    mut pieces: mpsc::Receiver<Piece>,
    stall: Duration,
    progress: &Progress,
) -> Result<(), DeliveryError> {
    let error = loop {
        let chunk = match pieces.recv().await {
            Some(Piece::Chunk(chunk)) => chunk,
            Some(Piece::End) => {
                return tokio::select! {
                    () = progress.stopped() => Err(DeliveryError::Unfinished),
                    finished = timeout(stall, upload.finish()) => match finished {
                        Ok(result) => result.map_err(DeliveryError::Store),
                        Err(_) => Err(DeliveryError::Stalled(stall)),
                    },
                };
            }
            None => break DeliveryError::Unfinished,
        };
        let written = tokio::select! {
            () = progress.stopped() => break DeliveryError::Unfinished,
            written = timeout(stall, upload.write(chunk)) => written,
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => break DeliveryError::Store(error),
            Err(_) => break DeliveryError::Stalled(stall),
        }
    };
    // Nobody else waits for this one meanwhile.
    drop(pieces);
    // What cannot be removed in time is an interrupted upload, which a later backup removes.
    drop(timeout(ABORT, upload.abort()).await);
    Err(error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mai_contract::job::{Destination, S3, Store, Subject};

    use super::*;
    use crate::Places;
    use crate::store::OpenStore;

    async fn upload(places: &Places, store: Store) -> (OpenStore, Upload) {
        let destination = Destination { name: "one".into(), store, retention: None };
        let subject = Subject { namespace: "default".into(), name: "alpha".into(), uid: "uid-1".into() };
        let store = OpenStore::open(&destination, &subject, places).await.unwrap();
        let upload = store.create("20261130-020000-000001.tar.gz", 64 << 20).await.unwrap();
        (store, upload)
    }

    #[tokio::test]
    async fn destination_that_stalls_drops_out_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        std::fs::write(path.join("key"), "key").unwrap();
        let places = Places { data: path.clone(), backups: path.clone(), secrets: path.clone(), staging: path };
        // Takes connections and never answers.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bucket = Store::S3(S3 {
            bucket: "backups".into(),
            endpoint: Some(format!("http://{}", silent.local_addr().unwrap())),
            region: None,
            prefix: String::new(),
            path_style: true,
            access_key_id: "key".into(),
            secret_access_key: "key".into(),
            ca: None,
        });
        let (_, stalled) = upload(&places, bucket).await;
        let (volume, working) = upload(&places, Store::Volume).await;
        let (mut writer, receiver) = fan_out(Duration::from_millis(300));
        let writing = tokio::task::spawn_blocking(move || {
            for _ in 0..64 {
                writer.write_all(&[7; 1 << 20]).unwrap();
            }
            writer.flush().unwrap();
            writer.complete().unwrap();
        });
        let results = receiver.deliver(vec![stalled, working], &Progress::silent()).await;
        writing.await.unwrap();
        assert!(matches!(results[..], [Err(DeliveryError::Stalled(_)), Ok(())]), "{results:?}");
        let stored = volume.list().await.unwrap();
        assert!(stored.iter().any(|object| object.bytes == 64 << 20), "{stored:?}");
    }

    #[tokio::test]
    async fn stream_that_is_given_up_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let places = Places { data: path.clone(), backups: path.clone(), secrets: path.clone(), staging: path };
        let (_, working) = upload(&places, Store::Volume).await;
        let (mut writer, receiver) = fan_out(STALL);
        let writing = tokio::task::spawn_blocking(move || {
            writer.write_all(&[7; 1 << 20]).unwrap();
        });
        let results = receiver.deliver(vec![working], &Progress::silent()).await;
        writing.await.unwrap();
        assert!(matches!(results[..], [Err(DeliveryError::Unfinished)]), "{results:?}");
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }
}
