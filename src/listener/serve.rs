//! The loop that accepts connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::Limits;
use super::body::{AnswerBody, RequestBody};
use super::phase::{Deadline, Waiting};
use super::registry::{Place, Registry};
use super::stream::WatchedStream;

/// Pause after an error that every attempt would meet, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);
/// Largest head of a request, and most bytes of a connection that are read ahead.
const BUFFER: usize = 64 * 1024;

/// Serves until it is told to stop and every answer has ended. Each request carries the address of
/// its connection as [`ConnectInfo`].
pub async fn serve<S>(listener: TcpListener, service: S, limits: Limits, stop: CancellationToken)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let registry = Registry::new(limits);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                // Without a place the connection is closed at once.
                if let Some(place) = registry.place(address.ip()) {
                    prepare(&stream, &limits);
                    connections.spawn(hold(stream, address, place, service.clone(), limits, stop.clone()));
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted at this moment");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn prepare(stream: &TcpStream, limits: &Limits) {
    // Streamed pieces are small packets, which Nagle's algorithm would delay.
    stream.set_nodelay(true).ok();
    // Also ends a connection whose other end is gone, or takes nothing.
    let send = u32::try_from(limits.send.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, send).ok();
}

/// Serves one connection until it ends, has kept us waiting for too long, or makes room for another.
async fn hold<S>(
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    service: S,
    limits: Limits,
    stop: CancellationToken,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let open = Arc::clone(&place.open);
    let answer = {
        let open = Arc::clone(&open);
        move |request: hyper::Request<Incoming>| {
            open.phase.enter(Waiting::Answer);
            let (mut head, inner) = request.into_parts();
            head.extensions.insert(ConnectInfo(address));
            let body = Body::new(RequestBody { inner, open: Arc::clone(&open) });
            let answer = service.clone().call(Request::from_parts(head, body));
            let open = Arc::clone(&open);
            async move { answer.await.map(|answer| answer.map(|inner| AnswerBody { inner, open })) }
        }
    };
    let stream = TokioIo::new(WatchedStream { inner: stream, open: Arc::clone(&open) });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(stream, service_fn(answer));
    let mut connection = pin!(connection);
    let mut stopping = false;
    loop {
        let Deadline::LookAgain(at) = open.phase.deadline(&limits) else { return };
        tokio::select! {
            // How it ended is of interest to its caller alone.
            _ = connection.as_mut() => return,
            () = open.evicted.cancelled() => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(at.into()) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::Router;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    struct Served {
        address: SocketAddr,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    async fn start(limits: Limits) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string()))
            .route("/echo", post(async |body: String| body))
            .route("/slow", get(async || tokio::time::sleep(Duration::from_millis(300)).await));
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, routes, limits, stop.clone()));
        Served { address, stop, task }
    }

    fn short() -> Limits {
        let soon = Duration::from_millis(100);
        Limits { head: soon, body: soon, idle: soon, ..Limits::with_files(1024) }
    }

    async fn send(served: &Served, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    /// Reads until the connection is closed.
    async fn rest(mut stream: TcpStream) -> String {
        let mut read = Vec::new();
        // A reset is an end as well.
        let _ = stream.read_to_end(&mut read).await;
        String::from_utf8(read).unwrap()
    }

    #[tokio::test]
    async fn caller_who_keeps_a_connection_waiting_loses_it() {
        let served = start(short()).await;
        for (sent, answered) in [
            (&b""[..], ""),
            (b"GET / HTTP/1.1\r\nhost:", ""),
            (b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf", ""),
            (GET, "127.0.0.1"),
        ] {
            let answer = rest(send(&served, sent).await).await;
            assert!(answer.ends_with(answered) && answer.is_empty() == answered.is_empty(), "{answer}");
        }
        let slow = rest(send(&served, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await).await;
        assert!(slow.starts_with("HTTP/1.1 200"), "an answer may take its time: {slow}");
    }

    #[tokio::test]
    async fn half_sent_requests_make_room_for_whole_ones() {
        let served = start(Limits { connections: 20, per_address: 10, ..Limits::with_files(1024) }).await;
        let mut held = Vec::new();
        for _ in 0..50 {
            held.push(send(&served, b"GET / HTTP/1.1\r\nhost:").await);
        }
        let mut stream = send(&served, GET).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }

    #[tokio::test]
    async fn serving_ends_when_the_last_answer_has() {
        let served = start(Limits::with_files(1024)).await;
        let mut slow = send(&served, b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let idle = send(&served, GET).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        served.stop.cancel();
        let mut answer = [0; 12];
        slow.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert!(rest(idle).await.starts_with("HTTP/1.1 200"));
        served.task.await.unwrap();
    }
}
