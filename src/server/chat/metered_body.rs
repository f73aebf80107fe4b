//! The body of an answer on its way to the client, metered for the ledger.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::usage::{Entry, GenerationStatus};
use mai_openrouter::scan::Scanner;
use mai_openrouter::{ResponseBody, UpstreamError};

/// Returns true for a status that is documented to come before anything was generated, at no cost.
fn was_refused_unbilled(status: StatusCode, entry: &Entry) -> bool {
    match status.as_u16() {
        408 => false,
        400..500 => true,
        500 | 502 | 503 | 529 => !entry.has_generation_id(),
        _ => false,
    }
}

/// The body of an answer: its bytes unchanged, its usage entered in the ledger when it ends.
/// Dropped before its end, it cancels the generation.
pub(crate) struct MeteredBody {
    inner: ResponseBody,
    /// `None` once the ledger row is closed.
    meter: Option<Meter>,
}

struct Meter {
    scanner: Scanner,
    entry: Entry,
    failed: bool,
}

impl MeteredBody {
    pub(super) fn new(inner: ResponseBody, entry: Entry, status: StatusCode, headers: &HeaderMap) -> Self {
        if was_refused_unbilled(status, &entry) {
            entry.finish_refused();
            return Self { inner, meter: None };
        }
        let kind = headers.get(header::CONTENT_TYPE).map_or(&[][..], |kind| kind.as_bytes());
        let scanner =
            if kind.starts_with(b"text/event-stream") { Scanner::for_events() } else { Scanner::for_document() };
        Self { inner, meter: Some(Meter { scanner, entry, failed: !status.is_success() }) }
    }

    /// The id of the ledger row.
    pub(super) fn entry_id(&self) -> Option<&str> {
        self.meter.as_ref().map(|meter| meter.entry.id())
    }

    fn scan(&mut self, piece: &[u8]) {
        let Some(meter) = &mut self.meter else { return };
        meter.scanner.feed(piece);
        if !meter.entry.has_cost_source()
            && let Some(id) = meter.scanner.generation_id()
        {
            meter.entry.set_generation_id(id);
        }
    }

    fn close(&mut self, end: BodyEnd) {
        let Some(Meter { scanner, entry, failed }) = self.meter.take() else { return };
        let summary = scanner.finish(end == BodyEnd::Complete);
        let status = match end {
            _ if failed || summary.error.is_some() || end == BodyEnd::Lost => GenerationStatus::Failed,
            // Some clients hang up at the end mark, before the end of the body.
            BodyEnd::Dropped if !summary.finished => GenerationStatus::Cancelled,
            _ => GenerationStatus::Completed,
        };
        entry.finish(status, summary);
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
        let frame = std::task::ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref() {
                    this.scan(piece);
                }
                // With a known length nobody polls again after the last piece.
                if this.inner.is_end_stream() {
                    this.close(BodyEnd::Complete);
                }
            }
            Some(Err(_)) => this.close(BodyEnd::Lost),
            None => this.close(BodyEnd::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for MeteredBody {
    fn drop(&mut self) {
        self.close(BodyEnd::Dropped);
    }
}
