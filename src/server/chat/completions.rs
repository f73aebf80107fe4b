//! Puts a question to the upstream of its model and watches the answer pass: the one way out, for the API and the pages.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{HeaderMap, Response, StatusCode, header};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use uuid::Uuid;

use super::error::CompletionError;
use crate::App;
use crate::models::{self, Routing, Upstream};
use crate::usage::{Entry, GenerationStatus, NewGeneration, Via};
use crate::users::UserId;
use mai_openrouter::UpstreamError;
use mai_openrouter::scan::{ResponseSummary, Scanner};
use mai_openrouter::{RequestBody, ResponseBody};

/// A question ready to go.
pub(super) struct CompletionRequest<'a> {
    pub(super) user: &'a UserId,
    pub(super) model: &'a str,
    /// Other models the upstream may fall back to.
    pub(super) fallbacks: &'a [String],
    pub(super) streamed: bool,
    pub(super) via: Via,
    pub(super) chat: Option<Uuid>,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
}

/// The header OpenRouter names a generation in.
const GENERATION_ID: &str = "x-generation-id";

/// Where questions for these models go, if they may.
pub(super) async fn route(app: &App, model: &str, fallbacks: &[String]) -> Result<Upstream, CompletionError> {
    let catalogue = models::list(app).await;
    let Routing::To(upstream) = catalogue.route(model) else { return Err(CompletionError::ModelNotFound) };
    if fallbacks.iter().any(|model| catalogue.route(model) != Routing::To(upstream)) {
        return Err(CompletionError::ModelNotFound);
    }
    if upstream == Upstream::Main && !app.connections.current().is_configured() {
        return Err(CompletionError::NoConnection);
    }
    Ok(upstream)
}

/// Sends the question and gives the answer as it comes. It is in the ledger from here on, and leaves the books closed
/// however it ends; dropping it cancels it at the upstream.
pub(super) async fn ask(app: &App, ask: CompletionRequest<'_>) -> Result<Response<MeteredBody>, CompletionError> {
    // Who has no connection learns that first: without one, no model can be found either.
    let connection = app.connections.current();
    if !connection.is_configured() && app.upstreams.ollama().is_none() {
        return Err(CompletionError::NoConnection);
    }
    let upstream = route(app, ask.model, ask.fallbacks).await?;
    let client = match (upstream, app.upstreams.ollama()) {
        (Upstream::Ollama, Some(client)) => client?,
        _ => app.upstreams.main(&connection)?,
    };
    let mut entry = app.ledger.begin(NewGeneration {
        user: ask.user.clone(),
        model: ask.model.to_owned(),
        streamed: ask.streamed,
        via: ask.via,
        chat: ask.chat,
        free: upstream == Upstream::Ollama,
    });
    match client.chat(ask.headers, ask.body).await {
        Ok(response) => {
            let (head, answer) = response.into_parts();
            if let Some(id) = head.headers.get(GENERATION_ID).and_then(|id| id.to_str().ok()) {
                entry.set_generation_id(id);
            }
            let body = MeteredBody::new(answer, entry, head.status, &head.headers);
            Ok(Response::from_parts(head, body))
        }
        Err(error) => {
            match &error {
                UpstreamError::ConnectionLost { .. } => {
                    entry.finish(GenerationStatus::Failed, ResponseSummary::default())
                }
                _ => entry.finish_refused(),
            }
            Err(error.into())
        }
    }
}

/// Whether an answer with this status is documented to come before anything was generated, and so to cost nothing.
fn was_refused_unbilled(status: StatusCode, entry: &Entry) -> bool {
    match status.as_u16() {
        408 => false,
        400..500 => true,
        500 | 502 | 503 | 529 => !entry.has_generation_id(),
        _ => false,
    }
}

/// An answer passing by: its bytes unchanged, its usage noted.
pub(super) struct MeteredBody {
    answer: ResponseBody,
    /// `None` once the books are closed.
    watch: Option<Meter>,
}

struct Meter {
    scanner: Scanner,
    entry: Entry,
    failed: bool,
}

impl MeteredBody {
    fn new(answer: ResponseBody, entry: Entry, status: StatusCode, headers: &HeaderMap) -> Self {
        if was_refused_unbilled(status, &entry) {
            entry.finish_refused();
            return Self { answer, watch: None };
        }
        let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
        let scanner =
            if kind.starts_with(b"text/event-stream") { Scanner::for_events() } else { Scanner::for_document() };
        Self { answer, watch: Some(Meter { scanner, entry, failed: !status.is_success() }) }
    }

    /// The row of the ledger.
    pub(super) fn entry_id(&self) -> Option<&str> {
        self.watch.as_ref().map(|watch| watch.entry.id())
    }

    fn see(&mut self, piece: &[u8]) {
        let Some(watch) = &mut self.watch else { return };
        watch.scanner.feed(piece);
        if !watch.entry.has_cost_source()
            && let Some(id) = watch.scanner.generation_id()
        {
            watch.entry.set_generation_id(id);
        }
    }

    fn close(&mut self, end: BodyEnd) {
        let Some(Meter { scanner, entry, failed }) = self.watch.take() else { return };
        let observed = scanner.finish(end == BodyEnd::Whole);
        let status = match end {
            _ if failed || observed.error.is_some() || end == BodyEnd::Broken => GenerationStatus::Failed,
            // Some clients hang up at the end mark and do not wait for the end of the body.
            BodyEnd::Left if !observed.finished => GenerationStatus::Cancelled,
            _ => GenerationStatus::Completed,
        };
        entry.finish(status, observed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyEnd {
    /// The body ended as it should.
    Whole,
    /// The upstream was lost.
    Broken,
    /// Whoever asked went away.
    Left,
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.answer).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    this.see(piece);
                }
                // With a known length nobody asks for more after the last piece.
                if this.answer.is_end_stream() {
                    this.close(BodyEnd::Whole);
                }
            }
            Some(Err(_)) => this.close(BodyEnd::Broken),
            None => this.close(BodyEnd::Whole),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        self.close(BodyEnd::Left);
    }
}
