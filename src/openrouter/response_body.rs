//! The body of an answer, read by the task that waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::connection::{PooledConnection, describe};
use super::endpoint::Endpoint;
use super::error::{NetworkFailure, UpstreamError};
use super::pool::Pool;

/// Longest silence between two pieces of an answer. OpenRouter sends comments far more often.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);

/// Longest time for an answer, from its head to its end. Models that think for long take minutes.
const LONGEST_ANSWER: Duration = Duration::from_secs(3600);

/// The body of an answer. Dropped before its end, it closes the connection.
pub struct ResponseBody {
    incoming: Incoming,
    /// `None` once the connection went back to the pool.
    connection: Option<PooledConnection>,
    pool: Pool,
    to: Endpoint,
    begun: Instant,
    silence: Option<Silence>,
}

/// The clock of [`SILENCE_TIMEOUT`]: armed rarely, so that a piece costs a clock reading and no
/// timer.
struct Silence {
    last: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl ResponseBody {
    /// The body of an answer whose head came over this connection.
    pub(super) fn new(incoming: Incoming, connection: PooledConnection, pool: Pool, to: Endpoint) -> Self {
        let mut body = Self { incoming, connection: Some(connection), pool, to, begun: Instant::now(), silence: None };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    /// The base URL of the upstream that gives it.
    pub fn base_url(&self) -> String {
        self.to.base_url()
    }

    /// Returns the connection to the pool when it can be used again.
    fn give_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_free()
        {
            self.pool.put_idle(&self.to, connection);
        }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(connection) = &mut self.connection {
            connection.drive(cx);
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            // The poll made the connection ready to read: drive it now instead of being woken for
            // it.
            Poll::Pending => {
                if let Some(connection) = &mut self.connection {
                    connection.drive(cx);
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
                return Poll::Ready(self.to.connection_lost(NetworkFailure::Silence(SILENCE_TIMEOUT)));
            }
            let next = tokio::time::Instant::from_std(silence.last + SILENCE_TIMEOUT);
            silence.alarm.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = self.get_mut();
        match this.poll_incoming(cx) {
            Poll::Ready(Some(Ok(_))) if this.begun.elapsed() > LONGEST_ANSWER => {
                this.connection = None;
                Poll::Ready(Some(Err(this.to.connection_lost(NetworkFailure::AnswerTimeout(LONGEST_ANSWER)))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                if this.incoming.is_end_stream() {
                    this.give_back();
                } else if let Some(silence) = &mut this.silence {
                    silence.last = Instant::now();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.connection = None;
                Poll::Ready(Some(Err(this.to.connection_lost(describe(&error)))))
            }
            Poll::Ready(None) => {
                this.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => this.poll_silence(cx).map(|error| {
                this.connection = None;
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
