//! Bodies of requests and answers, which tell what a connection waits for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body as AxumBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::phase::Waiting;
use super::registry::Open;

/// The body of a request. While a handler waits for it, the connection waits for its caller.
pub(super) struct RequestBody {
    pub(super) inner: Incoming,
    pub(super) open: Arc<Open>,
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let phase = &self.open.phase;
        if phase.waiting() != Waiting::Body {
            phase.enter(Waiting::Body);
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.open.phase.enter(Waiting::Answer);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if self.open.phase.waiting() == Waiting::Body {
            self.open.phase.enter(Waiting::Answer);
        }
    }
}

/// The body of an answer. When it is sent or given up, the connection waits for the next request.
pub(super) struct AnswerBody {
    pub(super) inner: AxumBody,
    pub(super) open: Arc<Open>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.open.phase.enter(Waiting::Idle);
    }
}
