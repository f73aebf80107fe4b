//! A load generator: keep-alive connections that send one request after another and read every
//! answer to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A load: requests, their target and their number.
#[derive(Clone)]
pub struct Load {
    /// Address of the target.
    pub to: SocketAddr,
    /// Path of the request.
    pub path: &'static str,
    /// Value of the Authorization header.
    pub authorization: String,
    /// Body of the request.
    pub body: Bytes,
    /// Connections.
    pub connections: usize,
    /// Total number of requests.
    pub requests: usize,
    /// Requests that are due each second, whatever becomes of those before; without it each
    /// connection sends the next request after an answer.
    pub rate: Option<u32>,
}

/// Result of a load.
pub struct Outcome {
    /// Latency of each request, sorted.
    pub latencies: Vec<Duration>,
    /// Time from the first request to the end of the last answer.
    pub elapsed: Duration,
    /// Total size of the answers in bytes.
    pub bytes: usize,
}

impl Outcome {
    /// Returns the median latency.
    pub fn median(&self) -> Duration {
        self.latencies.get(self.latencies.len() / 2).copied().unwrap_or_default()
    }

    /// Returns the latency that one of a hundred requests exceeds.
    pub fn p99(&self) -> Duration {
        self.latencies.get(self.latencies.len() * 99 / 100).copied().unwrap_or_default()
    }

    /// Returns the throughput in requests per second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs a load to its end.
pub async fn run(load: &Load) -> anyhow::Result<Outcome> {
    let mut senders = Vec::new();
    for _ in 0..load.connections {
        senders.push(connect(load.to).await?);
    }
    let started = Instant::now();
    let pace = Arc::new(Pace { started, sent: AtomicUsize::new(0) });
    let send = |sender| tokio::spawn(send_all(sender, load.clone(), Arc::clone(&pace)));
    let tasks: Vec<_> = senders.into_iter().map(send).collect();
    let mut latencies = Vec::with_capacity(load.requests);
    let mut bytes = 0;
    for task in tasks {
        let (more, read) = task.await??;
        latencies.extend(more);
        bytes += read;
    }
    let elapsed = started.elapsed();
    latencies.sort_unstable();
    Ok(Outcome { latencies, elapsed, bytes })
}

/// Opens a connection.
pub async fn connect(to: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The requests that the connections have begun together.
struct Pace {
    started: Instant,
    sent: AtomicUsize,
}

impl Pace {
    /// Waits until the next request is due; returns that moment, or `None` after the last one.
    async fn next(&self, load: &Load) -> Option<Instant> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        if number >= load.requests {
            return None;
        }
        let Some(rate) = load.rate else { return Some(Instant::now()) };
        let due = self.started + Duration::from_secs(1) * u32::try_from(number).ok()? / rate;
        tokio::time::sleep_until(due.into()).await;
        Some(due)
    }
}

async fn send_all(
    mut sender: SendRequest<Full<Bytes>>,
    load: Load,
    pace: Arc<Pace>,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let mut latencies = Vec::new();
    let mut bytes = 0;
    while let Some(started) = pace.next(&load).await {
        let request = Request::post(load.path)
            .header("host", "bench")
            .header("content-type", "application/json")
            .header("authorization", &load.authorization)
            .body(Full::new(load.body.clone()))?;
        sender.ready().await?;
        let mut answer = sender.send_request(request).await?;
        ensure!(answer.status() == 200, "answered {}", answer.status());
        while let Some(frame) = answer.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
        latencies.push(started.elapsed());
    }
    Ok((latencies, bytes))
}
