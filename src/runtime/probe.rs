//! One HTTP request to a server, on a connection of its own: the probe of its readiness, and what a
//! drill asks a server that it started.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mai_contract::http::VERSION_HEADER;
use mai_contract::is_unprintable;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;

use super::Probe;

/// Largest part of an answer that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// Largest part of a server's own words that is repeated.
const MAX_DETAIL_CHARS: usize = 200;

/// Result of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200.
    Ready {
        /// Version in the server's answer.
        version: Option<String>,
    },
    /// Anything else, as a sentence.
    NotReady {
        /// The sentence.
        detail: String,
    },
}

/// Probes a server once, within the probe's timeout.
pub(crate) async fn ask(listen: SocketAddr, probe: &Probe) -> Answer {
    match get(listen, &probe.path, probe.timeout).await {
        Ok(response) => Answer::from_response(&probe.path, &response),
        Err(detail) => Answer::NotReady { detail },
    }
}

/// Returns the JSON that a server answers a path with; None where it does not within the timeout.
pub(crate) async fn get_json(listen: SocketAddr, path: &str, timeout: Duration) -> Option<serde_json::Value> {
    let response = get(listen, path, timeout).await.ok()?;
    serde_json::from_slice(&response.body).ok()
}

/// Returns status and body of what a server answers to a request with a bearer token, or a sentence
/// about why there is no answer. A body of more than `max_bytes` counts as empty.
pub(crate) async fn get_with_token(
    listen: SocketAddr,
    path: &str,
    token: &SecretString,
    timeout: Duration,
    max_bytes: usize,
) -> Result<(StatusCode, Bytes), String> {
    let name = format!("GET {path}");
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
    let answer = exchange(connect_address(listen), &name, request, Bytes::new(), max_bytes);
    let response = within(timeout, &name, answer).await?;
    Ok((response.status, response.body))
}

/// A request of JSON to a server.
pub(crate) struct JsonRequest<'a> {
    /// The method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: &'a str,
    /// Token of the session.
    pub(crate) token: Option<&'a SecretString>,
    /// The body.
    pub(crate) body: Option<&'a serde_json::Value>,
}

impl JsonRequest<'_> {
    /// Sends it and returns the answer. Fails with a sentence unless the answer is 200 and JSON.
    pub(crate) async fn send(&self, server: SocketAddr, timeout: Duration) -> Result<serde_json::Value, String> {
        let request = format!("{} {}", self.method, self.path);
        let mut builder = Request::builder().method(self.method.clone()).uri(self.path);
        if let Some(token) = self.token {
            builder = builder.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        if self.body.is_some() {
            builder = builder.header(header::CONTENT_TYPE, "application/json");
        }
        let body = self.body.map(|body| body.to_string().into()).unwrap_or_default();
        let response = within(timeout, &request, exchange(server, &request, builder, body, MAX_ANSWER_BYTES)).await?;
        if response.status != StatusCode::OK {
            return Err(refusal(&request, &response));
        }
        serde_json::from_slice(&response.body).map_err(|error| format!("{request} was answered with no JSON: {error}"))
    }
}

struct Response {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

async fn get(listen: SocketAddr, path: &str, timeout: Duration) -> Result<Response, String> {
    let request = format!("GET {path}");
    let answer = exchange(connect_address(listen), &request, Request::get(path), Bytes::new(), MAX_ANSWER_BYTES);
    within(timeout, &request, answer).await
}

async fn within(
    timeout: Duration,
    request: &str,
    answer: impl Future<Output = Result<Response, String>>,
) -> Result<Response, String> {
    tokio::time::timeout(timeout, answer)
        .await
        .unwrap_or_else(|_| Err(format!("{request} was not answered within {} s", timeout.as_secs_f32())))
}

/// Returns the address at which a listener can be reached from this machine.
fn connect_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Sends a request, whose name in messages is `name`.
async fn exchange(
    target: SocketAddr,
    name: &str,
    request: http::request::Builder,
    body: Bytes,
    max_bytes: usize,
) -> Result<Response, String> {
    let stream = TcpStream::connect(target).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => format!("nothing listens on {target} yet"),
        _ => format!("{target} cannot be reached: {error}"),
    })?;
    let broken = |error: hyper::Error| format!("{name} was not answered properly: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = request
        .header(header::HOST, target.to_string())
        .header(header::USER_AGENT, "mai-probe")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|error| format!("{name} is no valid request: {error}"))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        // Read to the end, so that the server does not see a reset connection. An unreadable body
        // changes nothing.
        let body = Limited::new(body, max_bytes).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        Ok(Response { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may close before the answer that it delivered is polled.
        _ = connection => answer.await,
    }
}

impl Answer {
    fn from_response(path: &str, response: &Response) -> Self {
        if response.status == StatusCode::OK {
            let version = response.headers.get(VERSION_HEADER).and_then(|version| version.to_str().ok()).map(printable);
            return Self::Ready { version: version.filter(|version| !version.is_empty()) };
        }
        Self::NotReady { detail: refusal(&format!("GET {path}"), response) }
    }
}

/// Returns a sentence about an answer other than 200, with the server's own words.
fn refusal(request: &str, Response { status, body, .. }: &Response) -> String {
    let words = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|body| Some(printable(body.get("detail")?.as_str()?)))
        .filter(|detail| !detail.is_empty());
    match words {
        Some(words) => format!("{request} was answered with {}: {words}", status.as_u16()),
        None => format!("{request} was answered with {status}"),
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|character| !is_unprintable(*character)).take(MAX_DETAIL_CHARS).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn probe(timeout_millis: u64) -> Probe {
        Probe {
            path: "/ready".to_owned(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_millis(timeout_millis),
        }
    }

    async fn server_answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /ready HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        address
    }

    fn not_ready(answer: Answer) -> String {
        match answer {
            Answer::NotReady { detail } => detail,
            Answer::Ready { .. } => "ready".to_owned(),
        }
    }

    #[tokio::test]
    async fn status_200_is_ready_with_its_version() {
        let address = server_answering("HTTP/1.1 200 OK\r\nx-mai-version: 1.2.3\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!(ask(address, &probe(1000)).await, Answer::Ready { version: Some("1.2.3".to_owned()) });
        let address =
            server_answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n").await;
        assert_eq!(ask(address, &probe(1000)).await, Answer::Ready { version: None });
    }

    #[tokio::test]
    async fn other_status_repeats_the_words_of_the_server() {
        let address =
            server_answering("HTTP/1.1 503 x\r\ncontent-length: 27\r\n\r\n{\"detail\":\"still\\nmigrating\"}").await;
        let detail = not_ready(ask(address, &probe(1000)).await);
        assert!(detail.starts_with("GET /ready was answered with 503"), "{detail}");
        let address =
            server_answering("HTTP/1.1 503 x\r\nconnection: close\r\n\r\n{\"detail\":\"still\\nmigrating\"}").await;
        assert_eq!(
            not_ready(ask(address, &probe(1000)).await),
            "GET /ready was answered with 503: stillmigrating",
            "control characters are dropped"
        );
    }

    #[tokio::test]
    async fn silence_ends_at_timeout_and_a_closed_port_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let started = Instant::now();
        assert_eq!(not_ready(ask(address, &probe(50)).await), "GET /ready was not answered within 0.05 s");
        assert!(started.elapsed() < Duration::from_secs(2));
        // Bound and not listening: nobody else can take the port meanwhile.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = closed.local_addr().unwrap();
        assert_eq!(not_ready(ask(address, &probe(5000)).await), format!("nothing listens on {address} yet"));
    }

    #[test]
    fn unspecified_address_is_probed_on_loopback() {
        for (listen, target) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("127.0.0.3:80", "127.0.0.3:80")]
        {
            assert_eq!(connect_address(listen.parse().unwrap()).to_string(), target);
        }
    }
}
