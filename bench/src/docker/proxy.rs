//! A proxy before the engine's socket that records each request with its time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Pause that separates the requests of two passes.
const APART: Duration = Duration::from_millis(500);

/// A request that passed.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method and path, such as `GET /v1.41/containers/json`.
    pub line: String,
    /// Time of its arrival.
    pub came: Instant,
    /// Time of the engine's last answer to it.
    answered: Instant,
}

/// The proxy with its record.
pub struct Proxy {
    socket: PathBuf,
    seen: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// Requests of one pass.
#[derive(Debug)]
pub struct Burst {
    /// Number of requests.
    pub requests: usize,
    /// Time from the first request to the last answer.
    pub took: Duration,
}

impl Request {
    /// Returns true when no request writes.
    pub fn reads(&self) -> bool {
        self.line.starts_with("GET ") || self.line.starts_with("HEAD ")
    }
}

impl Proxy {
    /// Starts a proxy before the socket of an engine.
    pub fn start(engine: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket)?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (engine, record) = (engine.to_owned(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (engine, record) = (engine.clone(), Arc::clone(&record));
                tokio::spawn(async move {
                    // A connection that breaks is the client's to tell.
                    let _ = pass(client, &engine, &record).await;
                });
            }
        });
        Ok(Self { socket, seen, task, _directory: directory })
    }

    /// Returns its address in the form of DOCKER_HOST.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Returns every request since `begun`, except for the stream of events, which never ends.
    pub fn since(&self, begun: Instant) -> Vec<Request> {
        let seen = lock(&self.seen);
        seen.iter().filter(|request| request.came >= begun && !request.line.contains("/events")).cloned().collect()
    }

    /// Returns the requests since `begun`, grouped by pass.
    pub fn bursts(&self, begun: Instant) -> Vec<Burst> {
        let mut bursts: Vec<(Instant, Instant, usize)> = Vec::new();
        for request in self.since(begun) {
            match bursts.last_mut().filter(|(_, end, _)| request.came < *end + APART) {
                Some((_, end, count)) => (*end, *count) = (request.answered.max(*end), *count + 1),
                None => bursts.push((request.came, request.answered, 1)),
            }
        }
        bursts.into_iter().map(|(from, to, requests)| Burst { requests, took: to - from }).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Vec<Request>>) -> MutexGuard<'_, Vec<Request>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes a connection on and records its first line: the client opens one connection for each
/// request.
async fn pass(mut client: UnixStream, engine: &Path, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut head = vec![0; 16 * 1024];
    let length = client.read(&mut head).await?;
    let came = Instant::now();
    let text = String::from_utf8_lossy(&head[..length]);
    let line = text.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let index = {
        let mut seen = lock(seen);
        seen.push(Request { line, came, answered: came });
        seen.len() - 1
    };
    let mut engine = UnixStream::connect(engine).await?;
    engine.write_all(&head[..length]).await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_engine, mut to_engine) = engine.split();
    let up = async {
        tokio::io::copy(&mut from_client, &mut to_engine).await?;
        to_engine.shutdown().await
    };
    let down = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let length = from_engine.read(&mut bytes).await?;
            if length == 0 {
                return to_client.shutdown().await;
            }
            to_client.write_all(&bytes[..length]).await?;
            if let Some(request) = lock(seen).get_mut(index) {
                request.answered = Instant::now();
            }
        }
    };
    tokio::try_join!(up, down).map(drop)
}
