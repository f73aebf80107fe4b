//! Scan of the processes of the machine, shared by concurrent callers.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Mutex;

use super::discovery::{RunningServer, running_servers};

/// Scans for the servers of one state directory.
#[derive(Debug)]
pub(super) struct Scan {
    state_dir: PathBuf,
    last: Mutex<Option<(Instant, Arc<Vec<RunningServer>>)>>,
}

impl Scan {
    pub(super) fn new(state_dir: PathBuf) -> Self {
        Self { state_dir, last: Mutex::new(None) }
    }

    /// Returns the servers that run, from a scan that began after this call.
    pub(super) async fn now(&self) -> io::Result<Arc<Vec<RunningServer>>> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some((looked, found)) = &*last
            && *looked >= asked
        {
            return Ok(Arc::clone(found));
        }
        let looked = Instant::now();
        let state_dir = self.state_dir.clone();
        let found =
            tokio::task::spawn_blocking(move || running_servers(&state_dir)).await.map_err(io::Error::other)??;
        let found = Arc::new(found);
        *last = Some((looked, Arc::clone(&found)));
        Ok(found)
    }
}
