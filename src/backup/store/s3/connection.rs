//! The HTTP client of a bucket: trusts what the destination declares, sends nothing elsewhere, gives
//! up a connection on which nothing moves, however long the whole takes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use mai_contract::causes::with_causes;
use md5::{Digest, Md5};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::{Instant, Sleep};

use super::failure::Failure;

/// Patience with the network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Longest time until a connection stands.
    pub(super) connect: Duration,
    /// Longest time in which no byte moves.
    pub(super) stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stall: Duration::from_secs(120) }
    }
}

const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");
/// A body is sent in pieces of this size, so that it shows when one was taken.
const PIECE_BYTES: usize = 64 << 10;
/// Longest body of a failure, or of an answer that may hold one.
const SMALL_BODY: usize = 256 << 10;

/// An HTTP client. Clones share its connections.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    client: reqwest::Client,
    patience: Patience,
}

impl Connection {
    /// Returns a client that trusts the authorities in `ca` (PEM) alone, or those of the system.
    /// Without TLS none are needed. Fails with the problem and its remedy.
    pub(super) fn new(is_tls: bool, ca: Option<&[u8]>, patience: Patience) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let tls = match ca {
            Some(pem) => tls.with_root_certificates(authorities(pem)?),
            None if is_tls => tls.with_platform_verifier().map_err(|error| {
                format!("no certificates of authorities on this machine ({error}); install ca-certificates, or set caSecretRef of the destination")
            })?,
            None => tls.with_root_certificates(RootCertStore::empty()),
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.with_no_client_auth())
            .http1_only()
            // A signature is for one host, and keys are for one service.
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(patience.connect)
            .build()
            .map_err(describe)?;
        Ok(Self { client, patience })
    }

    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        let is_post = parts.method == Method::POST;
        if parts.method == Method::PUT {
            parts.headers.insert(CONTENT_MD5, content_md5(&body).await?);
        }
        parts.uri = with_query_as_signed(parts.uri);
        let progress = Progress::new();
        let body = reqwest::Body::wrap(SentBody { body, piece: Bytes::new(), progress: progress.clone() });
        let request = reqwest::Request::try_from(Request::from_parts(parts, body)).map_err(network)?;
        let response = tokio::select! {
            response = self.client.execute(request) => response.map_err(network)?,
            () = progress.stalled(self.patience.stall) => {
                return Err(Failure::Stalled(self.patience.stall).classified());
            }
        };
        let (parts, body) = Response::<reqwest::Body>::from(response).into_parts();
        let body = ReceivedBody { body, stall: self.patience.stall, deadline: None };
        if !parts.status.is_success() {
            // The status says enough where the body breaks off or is long.
            let body = Limited::new(body, SMALL_BODY).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            return Err(Failure::answer(parts.status, &body).classified());
        }
        if is_post {
            // The service begins to answer before it knows the result, with status 200.
            let body = Limited::new(body, SMALL_BODY).collect().await.map_err(|error| {
                error.downcast::<HttpError>().map_or_else(
                    |error| Failure::Network(error.to_string()).into_http_error(HttpErrorKind::Decode),
                    |error| *error,
                )
            })?;
            let body = body.to_bytes();
            if is_error(&body) {
                return Err(Failure::answer(parts.status, &body).classified());
            }
            return Ok(HttpResponse::from_parts(parts, body.into()));
        }
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

impl HttpService for Connection {
    fn call<'life, 'async_trait>(
        &'life self,
        request: HttpRequest,
    ) -> BoxFuture<'async_trait, Result<HttpResponse, HttpError>>
    where
        'life: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.send(request))
    }
}

impl HttpConnector for Connection {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// Returns the checksum of a body. A service checks it before it reports success, and one that
/// protects its objects asks for it.
async fn content_md5(body: &HttpRequestBody) -> Result<HeaderValue, HttpError> {
    let mut hash = Md5::new();
    let mut body = body.clone();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame?.data_ref() {
            hash.update(data);
        }
    }
    let value = HeaderValue::from_str(&BASE64_STANDARD.encode(hash.finalize()));
    value.map_err(|error| HttpError::new(HttpErrorKind::Decode, error))
}

/// Returns a target whose query is written as in its signature, and not as in a form: not each
/// service takes both for the same.
fn with_query_as_signed(uri: Uri) -> Uri {
    let Some(query) = uri.query() else { return uri };
    let signed = query.replace('+', "%20").replace('*', "%2A").replace("%7E", "~");
    let text = uri.to_string();
    let target = text.split_once('?').map(|(path, _)| format!("{path}?{signed}"));
    target.and_then(|target| target.parse().ok()).unwrap_or(uri)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let remedy = "it has to hold certificates in PEM, -----BEGIN CERTIFICATE-----";
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| store.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| format!("the file of ca cannot be read ({error}); {remedy}"))?;
    }
    if store.is_empty() { Err(format!("the file of ca holds no certificate; {remedy}")) } else { Ok(store) }
}

/// Returns true for the body of an answer that reports a failure.
fn is_error(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start();
    // Past the XML declaration.
    let root = text.strip_prefix("<?").and_then(|rest| rest.split_once("?>")).map_or(text, |(_, root)| root);
    root.trim_start().starts_with("<Error")
}

fn network(error: reqwest::Error) -> HttpError {
    // A body that breaks off is an error of the connection, too.
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    Failure::Network(describe(error)).into_http_error(kind)
}

/// Returns the error with its causes and without its URL.
fn describe(error: reqwest::Error) -> String {
    with_causes(&error.without_url())
}

/// Time at which a piece of a request was last taken.
#[derive(Clone, Debug)]
struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Returns once nothing was taken for this long.
    async fn stalled(&self, limit: Duration) {
        loop {
            let deadline = *self.0.lock() + limit;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}

/// Body of a request.
struct SentBody {
    body: HttpRequestBody,
    piece: Bytes,
    progress: Progress,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        *self.progress.0.lock() = Instant::now();
        while self.piece.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let length = self.piece.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.body.size_hint().exact().unwrap_or_default();
        SizeHint::with_exact(rest + self.piece.len() as u64)
    }
}

/// Body of an answer. The time in which nobody reads it does not count.
struct ReceivedBody {
    body: reqwest::Body,
    stall: Duration,
    /// End of the patience while somebody waits for the next frame.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Body for ReceivedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.deadline = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(network)));
        }
        let stall = this.stall;
        let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        deadline.as_mut().poll(context).map(|()| Some(Err(Failure::Stalled(stall).classified())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n";
    const STALL: Duration = Duration::from_millis(300);

    /// Sends a request to a server that behaves so, and returns the answer's body.
    async fn exchange<F: Future<Output = ()> + Send + 'static>(
        bytes: usize,
        behave: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> Result<Bytes, HttpError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        tokio::spawn(async move { behave(listener.accept().await.unwrap().0).await });
        let patience = Patience { connect: Duration::from_secs(5), stall: STALL };
        let connection = Connection::new(false, None, patience).unwrap();
        let body = HttpRequestBody::from(vec![0; bytes]);
        let request = Request::builder().method(Method::PUT).uri(url).body(body).unwrap();
        connection.send(request).await?.into_body().bytes().await
    }

    async fn read_request(stream: &mut TcpStream, bytes: usize) {
        let mut seen = Vec::new();
        while seen.len() < bytes || !seen.ends_with(&vec![0; bytes]) {
            stream.read_buf(&mut seen).await.unwrap();
        }
    }

    #[tokio::test]
    async fn connection_on_which_nothing_moves_is_given_up() {
        let wait = std::future::pending::<()>;
        let unread = exchange(64 << 20, move |stream| async move {
            wait().await;
            drop(stream);
        });
        let unanswered = exchange(10, move |mut stream| async move {
            read_request(&mut stream, 10).await;
            wait().await;
        });
        let unfinished = exchange(10, move |mut stream| async move {
            read_request(&mut stream, 10).await;
            stream.write_all(HEAD).await.unwrap();
            stream.write_all(b"half").await.unwrap();
            wait().await;
        });
        let (unread, unanswered, unfinished) = tokio::join!(unread, unanswered, unfinished);
        for result in [unread, unanswered, unfinished] {
            assert_eq!(Failure::find(&result.unwrap_err()), Some(&Failure::Stalled(STALL)));
        }
    }

    #[tokio::test]
    async fn slow_answer_is_awaited_as_long_as_it_moves() {
        let answer = exchange(10, |mut stream| async move {
            read_request(&mut stream, 10).await;
            stream.write_all(HEAD).await.unwrap();
            for byte in b"twelve bytes" {
                tokio::time::sleep(STALL / 6).await;
                stream.write_all(&[*byte]).await.unwrap();
            }
        });
        assert_eq!(answer.await.unwrap().as_ref(), b"twelve bytes");
    }
}
