//! The body of an answer on its way to the client, metered for the ledger.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::usage::{Entry, GenerationStatus};
use mai_openrouter::{AnswerEnd, AnswerReader, AnswerSummary, ResponseBody, UpstreamError};

/// Time from the end mark of a stream until its connection is dropped. Most upstreams end the body
/// with the mark, and the connection is used again; some keep it open for a long time.
const END_GRACE: Duration = Duration::from_millis(500);
/// The same where the model has stopped and the end mark is missing; the usage may follow.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Returns true for a status that is documented to come before anything was generated, at no cost.
fn is_unbilled(status: u16, has_generation_id: bool) -> bool {
    match status {
        408 => false,
        400..500 => true,
        500 | 502 | 503 | 529 => !has_generation_id,
        _ => false,
    }
}

/// The body of an answer: its bytes unchanged, its usage entered in the ledger when it ends.
/// Dropped before its end, it cancels the generation.
pub(crate) struct MeteredBody {
    /// `None` once it has ended.
    inner: Option<ResponseBody>,
    reader: AnswerReader,
    base_url: String,
    /// `None` once the ledger row is closed.
    meter: Option<Meter>,
    /// True for a page, which needs nothing after the text. Others may have asked for several
    /// answers, of which one has stopped.
    is_for_page: bool,
    /// True once the alarm is set for the end mark.
    is_finished: bool,
    /// Rings when the body goes on after the end of the answer.
    alarm: Option<Pin<Box<Sleep>>>,
}

struct Meter {
    entry: Entry,
    failed: bool,
}

impl MeteredBody {
    /// The body of an answer with this status and these headers. Its text is read where it is
    /// wanted.
    pub(super) fn new(
        inner: ResponseBody,
        entry: Entry,
        status: StatusCode,
        headers: &HeaderMap,
        with_text: bool,
    ) -> Self {
        let reader = if with_text { AnswerReader::with_text(headers) } else { AnswerReader::new(headers) };
        let meter = if is_unbilled(status.as_u16(), entry.has_generation_id()) {
            entry.finish_refused();
            None
        } else {
            Some(Meter { entry, failed: !status.is_success() })
        };
        Self {
            base_url: inner.base_url(),
            inner: Some(inner),
            reader,
            meter,
            is_for_page: with_text,
            is_finished: false,
            alarm: None,
        }
    }

    /// The id of the ledger row.
    pub(super) fn entry_id(&self) -> Option<&str> {
        self.meter.as_ref().map(|meter| meter.entry.id())
    }

    /// The base URL of the upstream.
    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Takes the text that came since the last call.
    pub(super) fn take_text(&mut self) -> String {
        self.reader.take_text()
    }

    /// The end of the answer, once the body has ended.
    pub(super) fn end(&self) -> AnswerEnd {
        self.reader.end()
    }

    /// Ends an answer that is not read, because it is none of the upstream's API.
    pub(crate) fn fail(mut self) {
        if let Some(meter) = &mut self.meter {
            meter.failed = true;
        }
    }

    fn scan(&mut self, piece: &[u8]) {
        let Some(meter) = &mut self.meter else { return };
        self.reader.feed(piece);
        if !meter.entry.has_cost_source()
            && let Some(id) = self.reader.generation_id()
        {
            meter.entry.set_generation_id(id);
        }
    }

    /// Sets the alarm once the end of the answer has come and the body goes on.
    fn set_alarm(&mut self) {
        let grace = match &self.alarm {
            _ if self.reader.is_finished() && !self.is_finished => END_GRACE,
            None if self.is_for_page && self.reader.has_stopped() => STOP_GRACE,
            _ => return,
        };
        self.is_finished = self.reader.is_finished();
        self.alarm = Some(Box::pin(tokio::time::sleep(grace)));
    }

    fn close(&mut self, end: BodyEnd) {
        let Some(Meter { entry, failed }) = self.meter.take() else { return };
        let summary = self.reader.finish(end == BodyEnd::Complete);
        if end == BodyEnd::Complete && !failed && was_refused(&summary, &entry) {
            return entry.finish_refused();
        }
        let status = match end {
            _ if failed || summary.error.is_some() || end == BodyEnd::Lost => GenerationStatus::Failed,
            // Some clients hang up at the end mark, before the end of the body.
            BodyEnd::Dropped if !summary.finished => GenerationStatus::Cancelled,
            _ if !summary.ended_well() => GenerationStatus::Failed,
            _ => GenerationStatus::Completed,
        };
        entry.finish(status, summary);
    }
}

/// True for an answer that was refused, although its status says success: an error, or a page of
/// something else, before a model was asked.
fn was_refused(summary: &AnswerSummary, entry: &Entry) -> bool {
    let has_id = entry.has_generation_id() || summary.generation_id.is_some();
    if has_id || summary.is_answer {
        return false;
    }
    match &summary.error {
        Some(error) => error.code.is_some_and(|code| is_unbilled(code, has_id)),
        None => true,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyEnd {
    /// The body is complete.
    Complete,
    /// The connection to the upstream was lost.
    Lost,
    /// The client left.
    Dropped,
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if let Some(alarm) = &mut this.alarm
            && alarm.as_mut().poll(cx).is_ready()
        {
            this.inner = None;
            this.close(BodyEnd::Complete);
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(Pin::new(&mut *inner).poll_frame(cx));
        let ended = inner.is_end_stream();
        // One with a known length has to keep its word.
        let has_length = inner.size_hint().exact().is_some();
        match &frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    this.scan(piece);
                }
                // With a known length nobody polls again after the last piece.
                if ended {
                    this.close(BodyEnd::Complete);
                } else if !has_length {
                    this.set_alarm();
                }
            }
            Some(Err(_)) => this.close(BodyEnd::Lost),
            None => this.close(BodyEnd::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        self.close(BodyEnd::Dropped);
    }
}
