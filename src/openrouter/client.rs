//! The upstream's calls: chat completions, models, key, generation.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::address::AddressPolicy;
use super::answer::plain_body;
use super::endpoint::Endpoint;
use super::error::{ListLimit, NetworkFailure, UpstreamError};
use super::error_body::{UpstreamErrorBody, printable};
use super::generation::Generation;
use super::json;
use super::key::KeyInfo;
use super::models::{MOST_MODELS, Model, ModelList};
use super::pool::Pool;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;

/// The small calls are answered within this, or the upstream counts as unreachable.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Most bytes of a list of models, which is about one MiB at OpenRouter, as MiB.
const LIST_CAP: usize = 4;
/// Most bytes of any other small answer.
pub(super) const ANSWER_CAP: usize = 1 << 20;

/// An upstream with the key to it. Cloning is cheap; the connections are the pool's.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool,
    endpoint: Endpoint,
    /// Marked sensitive, so that no debug output holds the key.
    authorization: Option<HeaderValue>,
}

/// The envelope of the small calls' answers.
#[derive(serde::Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

impl Client {
    /// For the upstream at this base URL; an upstream such as Ollama needs no key.
    pub fn new(pool: &Pool, base_url: &str, key: Option<&SecretString>) -> Result<Self, UpstreamError> {
        let authorization = match key {
            Some(key) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret().trim()))
                    .map_err(|_| UpstreamError::InvalidKey)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self { pool: pool.clone(), endpoint: Endpoint::parse(base_url)?, authorization })
    }

    /// The same with a limit to the addresses at which the upstream may be. It is checked for each
    /// connection, after its name was resolved.
    pub fn with_addresses(self, addresses: AddressPolicy) -> Self {
        Self { endpoint: self.endpoint.with_addresses(addresses), ..self }
    }

    /// Scheme, host and port of the upstream.
    pub fn origin(&self) -> &str {
        self.endpoint.origin()
    }

    /// `POST /chat/completions`: sends the body as it is and gives the answer as it comes, whatever
    /// its status.
    ///
    /// `headers` are sent along; the key, the host and the length are this client's own.
    pub async fn chat(&self, headers: HeaderMap, body: RequestBody) -> Result<Response<ResponseBody>, UpstreamError> {
        self.post("/chat/completions", headers, body).await
    }

    /// `POST` to this path below the base URL, like [`Self::chat`].
    pub async fn post(
        &self,
        path: &str,
        headers: HeaderMap,
        body: RequestBody,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let mut request = self.request(Method::POST, path, body)?;
        for (name, value) in &headers {
            if !request.headers().contains_key(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        request.headers_mut().entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        self.pool.send(&self.endpoint, request).await
    }

    /// `GET /models`: everything the upstream offers.
    pub async fn models(&self) -> Result<Vec<Model>, UpstreamError> {
        let body = self.fetch("/models", (LIST_CAP << 20) + 1).await?;
        let too_long = |limit| UpstreamError::ListTooLong { origin: self.origin().to_owned(), limit };
        if body.len() > LIST_CAP << 20 {
            return Err(too_long(ListLimit::Size(LIST_CAP)));
        }
        let models = ModelList::parse(&body).map_err(|error| self.invalid_response(error))?.into_models();
        if models.len() > MOST_MODELS {
            return Err(too_long(ListLimit::Entries(MOST_MODELS)));
        }
        Ok(models)
    }

    /// `GET /key`: the limits and spending of our key.
    pub async fn key(&self) -> Result<KeyInfo, UpstreamError> {
        Ok(self.get::<Data<KeyInfo>>("/key").await?.data)
    }

    /// `GET /generation?id=`: the record of a generation; `None` while the upstream does not know
    /// it.
    pub async fn generation(&self, id: &str) -> Result<Option<Generation>, UpstreamError> {
        let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
        match self.get::<Data<Generation>>(&format!("/generation?id={id}")).await {
            Ok(found) => Ok(Some(found.data)),
            Err(UpstreamError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn request(&self, method: Method, path: &str, body: RequestBody) -> Result<Request<RequestBody>, UpstreamError> {
        let mut request = Request::builder()
            .method(method)
            .uri(self.endpoint.target(path))
            .body(body)
            .map_err(|error| self.invalid_response(error))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.endpoint.authority().clone());
        // Some proxies compress what nobody asked to be compressed, and hold it back meanwhile.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, UpstreamError> {
        let body = self.fetch(path, ANSWER_CAP).await?;
        self.read(&body)
    }

    /// Reads an answer that is one document.
    pub(super) fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, UpstreamError> {
        json::from_slice(body).map_err(|error| self.invalid_response(error))
    }

    /// Gets a small answer, up to `cap` bytes of it.
    async fn fetch(&self, path: &str, cap: usize) -> Result<Bytes, UpstreamError> {
        self.call(Method::GET, path, Bytes::new(), cap).await
    }

    /// Makes a small call, and returns its answer, up to `cap` bytes of it. `body` is a JSON document,
    /// or empty.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        cap: usize,
    ) -> Result<Bytes, UpstreamError> {
        let is_empty = body.is_empty();
        let mut request = self.request(method, path, body.into())?;
        if !is_empty {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let call = async {
            let answer = self.pool.send(&self.endpoint, request).await?;
            let (head, body) = answer.into_parts();
            let body = collect(body, cap).await?;
            Ok((plain_body(&head.headers, body, cap), head))
        };
        let (body, head) = tokio::time::timeout(CALL_TIMEOUT, call)
            .await
            .map_err(|_| self.endpoint.unreachable(NetworkFailure::AnswerTimeout(CALL_TIMEOUT)))??;
        let status = head.status;
        if !status.is_success() {
            let UpstreamErrorBody { kind, mut message, .. } = UpstreamErrorBody::parse(status, &body);
            // It is not followed: the key is for this address.
            if let Some(location) = head.headers.get(header::LOCATION).filter(|_| status.is_redirection()) {
                message = format!("it redirects to {}", printable(&String::from_utf8_lossy(location.as_bytes())));
            }
            let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let retry_after = retry_after.map(Duration::from_secs);
            return Err(UpstreamError::Refused {
                origin: self.origin().to_owned(),
                status,
                message,
                kind,
                retry_after,
            });
        }
        Ok(body)
    }

    pub(super) fn invalid_response(&self, reason: impl ToString) -> UpstreamError {
        UpstreamError::InvalidResponse { origin: self.origin().to_owned(), reason: reason.to_string() }
    }
}

/// Gathers an answer, up to `cap` bytes of it.
pub async fn collect(mut answer: ResponseBody, cap: usize) -> Result<Bytes, UpstreamError> {
    let mut body = BytesMut::new();
    while let Some(frame) = answer.frame().await {
        if let Ok(data) = frame?.into_data() {
            let room = cap.saturating_sub(body.len());
            body.extend_from_slice(data.get(..room).unwrap_or(&data));
            if room <= data.len() {
                break;
            }
        }
    }
    Ok(body.freeze())
}
