//! A socket in front of the engine's that writes down what passes and when.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Requests that are further apart belong to different passes.
const APART: Duration = Duration::from_millis(500);

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Such as `GET /v1.41/containers/json`.
    pub line: String,
    /// When it came.
    pub came: Instant,
    /// When the engine said last something to it.
    answered: Instant,
}

/// What passed.
pub struct Proxy {
    socket: PathBuf,
    seen: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// Requests that came together.
#[derive(Debug)]
pub struct Burst {
    /// How many.
    pub requests: usize,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Request {
    /// Whether it only asks.
    pub fn reads(&self) -> bool {
        self.line.starts_with("GET ") || self.line.starts_with("HEAD ")
    }
}

impl Proxy {
    /// A proxy in front of an engine.
    pub fn start(engine: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket)?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (engine, told) = (engine.to_owned(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (engine, told) = (engine.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    // A connection that breaks is the client's to tell.
                    let _ = pass(client, &engine, &told).await;
                });
            }
        });
        Ok(Self { socket, seen, task, _directory: directory })
    }

    /// As DOCKER_HOST has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Every request since `begun`, but for the stream of events, which never ends.
    pub fn since(&self, begun: Instant) -> Vec<Request> {
        let seen = lock(&self.seen);
        seen.iter().filter(|request| request.came >= begun && !request.line.contains("/events")).cloned().collect()
    }

    /// The requests since `begun`, as they came together.
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

/// The client opens one connection for each request, so the first line of a connection is all there is to look at.
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
