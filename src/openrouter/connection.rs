//! One connection to an upstream: dialled, secured, and driven by the task that waits for its
//! answer.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use hyper::client::conn::http1::{Connection, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::endpoint::Endpoint;
use super::error::{NetworkFailure, UpstreamError};
use super::received::{Counted, Received};
use super::request_body::RequestBody;

/// For each address of the host; an unreachable one must not delay the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

type Io = TokioIo<Counted<Either<TcpStream, Box<TlsStream<TcpStream>>>>>;

/// An open connection: the sender of requests, and the driver that moves the bytes.
pub(super) struct PooledConnection {
    pub(super) sender: SendRequest<RequestBody>,
    /// All it has received, handshake excluded.
    pub(super) received: Received,
    /// `None` once the connection is closed; it must not be polled again.
    driver: Option<Connection<Io, RequestBody>>,
}

impl PooledConnection {
    /// Moves the bytes that can be moved now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// True when it is open and free for another request. Reads the socket without waiting.
    pub(super) fn is_free(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Opens a connection; `tls` is made on the first https one.
    pub(super) async fn open(to: &Endpoint, tls: &OnceCell<TlsConnector>) -> Result<Self, UpstreamError> {
        let tcp = dial(to).await?;
        let stream = if to.is_secure() {
            let connector = tls
                .get_or_try_init(connector)
                .await
                .map_err(|reason| to.unreachable(NetworkFailure::Message(reason)))?;
            let name = ServerName::try_from(to.host().to_owned())
                .map_err(|error| to.unreachable(NetworkFailure::message(error)))?;
            let handshake = tokio::time::timeout(CONNECT_TIMEOUT, connector.connect(name, tcp));
            let tls = handshake.await.map_err(|_| to.unreachable(NetworkFailure::HandshakeTimeout))?;
            Either::Right(Box::new(tls.map_err(|error| to.unreachable(NetworkFailure::message(error)))?))
        } else {
            Either::Left(tcp)
        };
        let (stream, received) = Counted::new(stream);
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| to.unreachable(describe(&error)))?;
        Ok(Self { sender, received, driver: Some(driver) })
    }
}

/// Connects to the first address of the host that is allowed and answers.
async fn dial(to: &Endpoint) -> Result<TcpStream, UpstreamError> {
    let found = tokio::net::lookup_host((to.host(), to.port())).await;
    let mut addresses: Vec<SocketAddr> =
        found.map_err(|error| to.unreachable(NetworkFailure::message(error)))?.collect();
    // IPv6 is often there by name and not by route; the other order costs a time-out.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut reason = to.unreachable(NetworkFailure::NoAddress);
    let mut refusal = None;
    addresses.retain(|address| {
        let kind = to.addresses().refusal(address.ip());
        refusal = refusal.or(kind.map(|kind| (address.ip(), kind)));
        kind.is_none()
    });
    if let (true, Some((address, kind))) = (addresses.is_empty(), refusal) {
        return Err(UpstreamError::AddressRefused { origin: to.origin().to_owned(), address, kind });
    }
    for address in addresses {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(|error| to.unreachable(NetworkFailure::message(error)))?;
                return Ok(stream);
            }
            Ok(Err(error)) => reason = to.unreachable(NetworkFailure::message(error)),
            Err(_) => reason = to.unreachable(NetworkFailure::ConnectTimeout(CONNECT_TIMEOUT)),
        }
    }
    Err(reason)
}

async fn connector() -> Result<TlsConnector, String> {
    let built = tokio::task::spawn_blocking(|| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok::<_, rustls::Error>(TlsConnector::from(Arc::new(config)))
    });
    match built.await {
        Ok(Ok(connector)) => Ok(connector),
        Ok(Err(error)) => Err(format!("no TLS without root certificates ({error})")),
        Err(error) => Err(error.to_string()),
    }
}

/// The error with its cause: hyper's errors name theirs only in their source.
pub(super) fn describe(error: &hyper::Error) -> NetworkFailure {
    NetworkFailure::Message(match std::error::Error::source(error) {
        Some(source) => format!("{error} ({source})"),
        None => error.to_string(),
    })
}
