//! A lean HTTP/1.1 connection pool: a request, its connection and its answer are driven by one
//! task, the caller's.
//!
//! A streamed answer costs no task switch and no channel between tasks, and dropping it closes the
//! connection, which is how an upstream learns that its generation was cancelled.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::connection::{PooledConnection, describe};
use super::endpoint::Endpoint;
use super::error::{NetworkFailure, UpstreamError};
use super::request_body::RequestBody;
use super::response_body::ResponseBody;

/// A long answer that is not streamed sends nothing until it is complete.
const HEAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Upstreams close idle connections after a minute or so; ours are dropped before that.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
const IDLE_PER_ORIGIN: usize = 256;

struct Idle {
    connection: PooledConnection,
    since: Instant,
}

/// Open connections to upstreams, shared by all clients. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// By origin, the longest idle first. Never held across an await.
    idle: Mutex<HashMap<String, Vec<Idle>>>,
    /// Made on the first https connection: reading the system's root certificates takes time and
    /// memory.
    tls: OnceCell<TlsConnector>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// A pool without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a request (origin-form target, `Host` set) and waits for the head of its answer.
    ///
    /// A request is sent again, once and on a new connection, when the connection was idle before
    /// and closed without a byte of an answer: upstreams close idle connections at any moment, and
    /// have then worked on nothing.
    pub async fn send(
        &self,
        to: &Endpoint,
        mut request: Request<RequestBody>,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let mut may_retry = true;
        loop {
            let idle = if may_retry { self.take_idle(to) } else { None };
            let (mut connection, again) = match idle {
                Some(connection) => (connection, Some(request.clone())),
                None => (PooledConnection::open(to, &self.0.tls).await?, None),
            };
            let received = connection.received.bytes();
            let mut sent = pin!(connection.sender.try_send_request(request));
            let head = poll_fn(|cx| {
                connection.drive(cx);
                match sent.as_mut().poll(cx) {
                    // The driver may have received the answer before anybody waited for it.
                    Poll::Pending => {
                        connection.drive(cx);
                        sent.as_mut().poll(cx)
                    }
                    ready => ready,
                }
            });
            match tokio::time::timeout(HEAD_TIMEOUT, head).await {
                Ok(Ok(response)) => {
                    let (head, incoming) = response.into_parts();
                    let body = ResponseBody::new(incoming, connection, self.clone(), to.clone());
                    return Ok(Response::from_parts(head, body));
                }
                Ok(Err(mut error)) => {
                    let unsent = error.take_message();
                    let is_unanswered = connection.received.bytes() == received;
                    match (unsent, again) {
                        // It was closed before anything was sent; the next idle one may be open.
                        (Some(unsent), Some(_)) => request = unsent,
                        (None, Some(sent)) if is_unanswered => {
                            may_retry = false;
                            request = sent;
                        }
                        (None, _) => return Err(to.connection_lost(describe(error.error()))),
                        (Some(_), None) => return Err(to.unreachable(describe(error.error()))),
                    }
                }
                Err(_) => return Err(to.connection_lost(NetworkFailure::AnswerTimeout(HEAD_TIMEOUT))),
            }
        }
    }

    /// The number of open connections that wait for a request.
    pub fn idle(&self) -> usize {
        self.0.idle.lock().values().map(Vec::len).sum()
    }

    fn take_idle(&self, to: &Endpoint) -> Option<PooledConnection> {
        let mut idle = self.0.idle.lock();
        let connections = idle.get_mut(to.origin())?;
        while let Some(mut candidate) = connections.pop() {
            if candidate.since.elapsed() > IDLE_TIMEOUT {
                connections.clear();
            } else if candidate.connection.is_free() {
                return Some(candidate.connection);
            }
        }
        None
    }

    pub(super) fn put_idle(&self, to: &Endpoint, connection: PooledConnection) {
        let mut idle = self.0.idle.lock();
        let connections = match idle.get_mut(to.origin()) {
            Some(connections) => connections,
            None => idle.entry(to.origin().to_owned()).or_default(),
        };
        if connections.first().is_some_and(|oldest| oldest.since.elapsed() > IDLE_TIMEOUT) {
            connections.retain(|idle| idle.since.elapsed() <= IDLE_TIMEOUT);
        }
        if connections.len() < IDLE_PER_ORIGIN {
            connections.push(Idle { connection, since: Instant::now() });
        }
    }
}
