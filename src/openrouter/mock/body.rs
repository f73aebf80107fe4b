//! The mock's response bodies: one document, or a paced stream of events that may be cut.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::records::Running;
use super::template::Stamped;

/// A response body of the mock.
pub(super) enum MockBody {
    Whole(Bytes),
    Events(Box<Events>),
}

/// A stream of events.
pub(super) struct Events {
    pub(super) stamped: Stamped,
    /// Sent before the chunks: the comment that shows life.
    pub(super) opening: Option<Bytes>,
    /// Sent after the chunks: usage and the end mark, or an error event.
    pub(super) closing: Option<Bytes>,
    /// The number of chunks to send, of which all but the last carry text.
    pub(super) chunks: usize,
    pub(super) next: usize,
    pub(super) cut: bool,
    pub(super) delay: Duration,
    pub(super) first: Duration,
    pub(super) pause: Option<Pin<Box<Sleep>>>,
    pub(super) paused: bool,
    pub(super) running: Running,
    /// The number of chunks with text, each of which counts as a token.
    pub(super) texts: usize,
    /// The finish reason of a stream that ended normally.
    pub(super) finish: &'static str,
}

impl Events {
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.paused {
            return Poll::Ready(());
        }
        let length = if self.next == 0 { self.first + self.delay } else { self.delay };
        if !length.is_zero() {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(length)));
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        self.paused = true;
        Poll::Ready(())
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(Ok(opening)));
        }
        if self.next < self.chunks {
            std::task::ready!(self.poll_pause(cx));
            self.paused = false;
            let chunk = self.stamped.chunk(self.next);
            if self.next < self.texts {
                self.running.completion_tokens += 1;
            }
            self.next += 1;
            return Poll::Ready(chunk.map(Ok));
        }
        if self.cut {
            // Give what was sent the time to leave before the connection goes down.
            self.delay = self.delay.max(Duration::from_millis(20));
            std::task::ready!(self.poll_pause(cx));
            self.running.finish = Some("error");
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        self.running.finish = Some(self.finish);
        Poll::Ready(self.closing.take().map(Ok))
    }
}

impl Body for MockBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Events(events) => events.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
