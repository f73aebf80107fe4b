//! A lean HTTP/1.1 connection pool: a request, its connection and its answer are driven by one task, the caller's.
//!
//! A streamed answer costs no task switch and no channel between tasks, and dropping it closes the connection, which is
//! how an upstream learns that its generation was cancelled.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::Sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;
use url::Url;

use super::error::UpstreamError;

/// For each address of the host; an unreachable one must not hold up the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A long answer that is not streamed sends nothing at all until it is complete.
const HEAD_TIMEOUT: Duration = Duration::from_secs(600);
/// Between two pieces of an answer; OpenRouter sends comments far more often.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);
/// Upstreams close idle connections after a minute or so; ours are given up before that.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
const IDLE_PER_ORIGIN: usize = 256;

/// The upstream's base URL, taken apart once.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    secure: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
    origin: String,
    prefix: String,
}

impl Endpoint {
    /// Takes a base URL such as `https://openrouter.ai/api/v1` apart; a slash at its end makes no difference.
    pub fn parse(text: &str) -> Result<Self, UpstreamError> {
        let refuse = |reason| UpstreamError::Address { url: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|_| refuse("it is no URL"))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refuse("it must begin with http:// or https://")),
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it must hold no user, password, query or fragment"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse("it names no host"))?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let port = url.port_or_known_default().unwrap_or(443);
        Ok(Self(Arc::new(Parts {
            secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            origin: format!("{}://{authority}", url.scheme()),
            authority: HeaderValue::from_str(&authority).map_err(|_| refuse("its host cannot be sent in a header"))?,
            prefix: url.path().trim_end_matches('/').to_owned(),
        })))
    }

    /// Scheme, host and port: what an error names.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// The value of the `Host` header.
    pub fn authority(&self) -> &HeaderValue {
        &self.0.authority
    }

    /// The request target of a path below the base URL.
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.0.prefix)
    }

    fn unreachable(&self, reason: impl ToString) -> UpstreamError {
        UpstreamError::Unreachable { origin: self.origin().to_owned(), reason: reason.to_string() }
    }

    fn broken(&self, reason: impl ToString) -> UpstreamError {
        UpstreamError::Broken { origin: self.origin().to_owned(), reason: reason.to_string() }
    }
}

/// A request body in up to three pieces, so that a large one is spliced without being copied.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: [Bytes; 3],
    next: usize,
}

impl Pieces {
    /// The pieces in their order; empty ones are passed over.
    pub fn new(pieces: [Bytes; 3]) -> Self {
        Self { pieces, next: 0 }
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self::new([bytes, Bytes::new(), Bytes::new()])
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        while let Some(piece) = this.pieces.get_mut(this.next) {
            this.next += 1;
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(piece)))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum())
    }
}

type Io = TokioIo<Either<TcpStream, Box<TlsStream<TcpStream>>>>;

/// One connection with both of its ends: what asks, and what moves the bytes.
struct Link {
    sender: SendRequest<Pieces>,
    /// `None` once the connection is closed; it must not be polled again.
    driver: Option<Connection<Io, Pieces>>,
}

impl Link {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Whether it is open and free for another request; looks at the socket without waiting for it.
    fn is_free(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}

struct Idle {
    link: Link,
    since: Instant,
}

/// Open connections to upstreams, shared by whatever talks to them. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// By origin, the longest idle first. Never held across an await.
    idle: Mutex<HashMap<String, Vec<Idle>>>,
    /// Made on the first https connection: reading the system's root certificates takes time and memory.
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
    /// A request is tried again on a new connection only when the old one was found closed before a byte was sent.
    pub async fn send(&self, to: &Endpoint, mut request: Request<Pieces>) -> Result<Response<Answer>, UpstreamError> {
        loop {
            let (mut link, reused) = match self.take(to) {
                Some(link) => (link, true),
                None => (self.connect(to).await?, false),
            };
            let mut sent = pin!(link.sender.try_send_request(request));
            let head = poll_fn(|cx| {
                link.drive(cx);
                match sent.as_mut().poll(cx) {
                    // The answer may have been left by a driver that did not know it was waited for.
                    Poll::Pending => {
                        link.drive(cx);
                        sent.as_mut().poll(cx)
                    }
                    ready => ready,
                }
            });
            match tokio::time::timeout(HEAD_TIMEOUT, head).await {
                Ok(Ok(response)) => {
                    let (head, incoming) = response.into_parts();
                    let mut answer =
                        Answer { incoming, link: Some(link), pool: self.clone(), to: to.clone(), silence: None };
                    if answer.incoming.is_end_stream() {
                        answer.give_back();
                    }
                    return Ok(Response::from_parts(head, answer));
                }
                Ok(Err(mut error)) => match error.take_message() {
                    Some(unsent) if reused => request = unsent,
                    None => return Err(to.broken(told(error.error()))),
                    Some(_) => return Err(to.unreachable(told(error.error()))),
                },
                Err(_) => return Err(to.broken(format_args!("no answer within {} s", HEAD_TIMEOUT.as_secs()))),
            }
        }
    }

    /// How many connections are open and waiting for a request.
    pub fn idle(&self) -> usize {
        self.0.idle.lock().values().map(Vec::len).sum()
    }

    fn take(&self, to: &Endpoint) -> Option<Link> {
        let mut idle = self.0.idle.lock();
        let links = idle.get_mut(to.origin())?;
        while let Some(mut candidate) = links.pop() {
            if candidate.since.elapsed() > IDLE_TIMEOUT {
                links.clear();
            } else if candidate.link.is_free() {
                return Some(candidate.link);
            }
        }
        None
    }

    fn put(&self, to: &Endpoint, link: Link) {
        let mut idle = self.0.idle.lock();
        let links = match idle.get_mut(to.origin()) {
            Some(links) => links,
            None => idle.entry(to.origin().to_owned()).or_default(),
        };
        if links.first().is_some_and(|oldest| oldest.since.elapsed() > IDLE_TIMEOUT) {
            links.retain(|idle| idle.since.elapsed() <= IDLE_TIMEOUT);
        }
        if links.len() < IDLE_PER_ORIGIN {
            links.push(Idle { link, since: Instant::now() });
        }
    }

    async fn connect(&self, to: &Endpoint) -> Result<Link, UpstreamError> {
        let tcp = self.dial(to).await?;
        let stream = if to.0.secure {
            let connector = self.0.tls.get_or_try_init(connector).await.map_err(|reason| to.unreachable(reason))?;
            let name = ServerName::try_from(to.0.host.clone()).map_err(|error| to.unreachable(error))?;
            let handshake = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, tcp));
            let tls = handshake.await.map_err(|_| to.unreachable("the TLS handshake took too long"))?;
            Either::Right(Box::new(tls.map_err(|error| to.unreachable(error))?))
        } else {
            Either::Left(tcp)
        };
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| to.unreachable(told(&error)))?;
        Ok(Link { sender, driver: Some(driver) })
    }

    async fn dial(&self, to: &Endpoint) -> Result<TcpStream, UpstreamError> {
        let found = tokio::net::lookup_host((to.0.host.as_str(), to.0.port)).await;
        let mut addresses: Vec<SocketAddr> = found.map_err(|error| to.unreachable(error))?.collect();
        // IPv6 is often there by name and not by route; the other order costs a time-out.
        addresses.sort_by_key(SocketAddr::is_ipv6);
        let mut reason = to.unreachable("its name has no address");
        for address in addresses {
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(|error| to.unreachable(error))?;
                    return Ok(stream);
                }
                Ok(Err(error)) => reason = to.unreachable(error),
                Err(_) => {
                    reason = to.unreachable(format_args!("no connection within {} s", CONNECT_TIMEOUT.as_secs()));
                }
            }
        }
        Err(reason)
    }
}

async fn connector() -> Result<TlsConnector, String> {
    let made = tokio::task::spawn_blocking(|| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok::<_, rustls::Error>(TlsConnector::from(Arc::new(config)))
    });
    match made.await {
        Ok(Ok(connector)) => Ok(connector),
        Ok(Err(error)) => Err(format!("no TLS without root certificates ({error})")),
        Err(error) => Err(error.to_string()),
    }
}

/// hyper's errors name their cause only in their source.
fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    }
}

/// The body of an answer. Dropped before its end, it closes the connection.
pub struct Answer {
    incoming: Incoming,
    /// `None` once the connection went back to the pool.
    link: Option<Link>,
    pool: Pool,
    to: Endpoint,
    silence: Option<Silence>,
}

/// The clock of [`SILENCE_TIMEOUT`]: armed rarely, so that a piece costs a clock reading and no timer.
struct Silence {
    last: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Answer {
    fn give_back(&mut self) {
        if let Some(mut link) = self.link.take()
            && link.is_free()
        {
            self.pool.put(&self.to, link);
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(link) = &mut self.link {
            link.drive(cx);
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            // Asking made the connection willing to read: give it its turn now instead of being woken for it.
            Poll::Pending => {
                if let Some(link) = &mut self.link {
                    link.drive(cx);
                }
                Pin::new(&mut self.incoming).poll_frame(cx)
            }
            ready => ready,
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        let silence = self.silence.get_or_insert_with(|| Silence {
            last: Instant::now(),
            alarm: Box::pin(tokio::time::sleep(SILENCE_TIMEOUT)),
        });
        while silence.alarm.as_mut().poll(cx).is_ready() {
            if silence.last.elapsed() >= SILENCE_TIMEOUT {
                let reason = format_args!("it fell silent for {} s", SILENCE_TIMEOUT.as_secs());
                return Poll::Ready(self.to.broken(reason));
            }
            let next = tokio::time::Instant::from_std(silence.last + SILENCE_TIMEOUT);
            silence.alarm.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        match this.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if this.incoming.is_end_stream() {
                    this.give_back();
                } else if let Some(silence) = &mut this.silence {
                    silence.last = Instant::now();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.link = None;
                Poll::Ready(Some(Err(this.to.broken(told(&error)))))
            }
            Poll::Ready(None) => {
                this.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_silence(cx).map(|error| {
                this.link = None;
                Some(Err(error))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_taken_apart() {
        let endpoint = Endpoint::parse("https://openrouter.ai/api/v1/").unwrap();
        assert_eq!(endpoint.origin(), "https://openrouter.ai");
        assert_eq!(endpoint.target("/models"), "/api/v1/models");
        assert_eq!((endpoint.0.secure, endpoint.0.port), (true, 443));
        let endpoint = Endpoint::parse("http://[::1]:9400").unwrap();
        assert_eq!(
            (endpoint.0.host.as_str(), endpoint.0.port, endpoint.target("/key")),
            ("::1", 9400, "/key".to_owned())
        );
        assert_eq!(endpoint.authority(), "[::1]:9400");
        for bad in ["", "openrouter.ai", "ftp://a", "https://user:pw@host/", "https://host/?key=1", "http://"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
