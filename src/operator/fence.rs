//! Nobody writes who may not be the leader any more: every change on its way to the API server is held against the Lease.
//!
//! A program that was stopped for a while, by the system or a debugger, goes on where it stood. What it was about to write then may
//! already be another leader's to decide.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use http::{Method, Request};
use parking_lot::Mutex;
use tower::{BoxError, Layer, Service};

/// Until when changes may be sent.
#[derive(Clone, Debug)]
pub(super) struct Fence(Arc<Mutex<Option<Instant>>>);

/// A change was not sent.
#[derive(Debug, thiserror::Error)]
#[error("the Lease was not renewed in time, so nothing is written any more")]
struct Fenced;

impl Fence {
    /// Open for good: there is nobody else.
    pub(super) fn open() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Open for so long after `renewed`.
    pub(super) fn open_until(&self, renewed: Instant, valid: Duration) {
        *self.0.lock() = Some(renewed + valid);
    }

    fn is_open(&self) -> bool {
        self.0.lock().is_none_or(|until| Instant::now() < until)
    }
}

impl<S> Layer<S> for Fence {
    type Service = Behind<S>;

    fn layer(&self, service: S) -> Behind<S> {
        Behind { fence: self.clone(), service }
    }
}

/// A client whose changes are held against a fence.
#[derive(Clone, Debug)]
pub(super) struct Behind<S> {
    fence: Fence,
    service: S,
}

impl<S, B> Service<Request<B>> for Behind<S>
where
    S: Service<Request<B>, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if reads || self.fence.is_open() {
            self.service.call(request).boxed()
        } else {
            std::future::ready(Err(Fenced.into())).boxed()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changes_are_held_back_once_the_lease_is_too_old_and_reads_are_not() {
        let fence = Fence::open();
        let answers = tower::service_fn(async |_: Request<()>| Ok::<_, BoxError>(()));
        let mut client = fence.layer(answers);
        let request = |method: Method| Request::builder().method(method).body(()).unwrap();
        client.call(request(Method::PATCH)).await.unwrap();
        fence.open_until(Instant::now(), Duration::from_secs(60));
        client.call(request(Method::POST)).await.unwrap();
        fence.open_until(Instant::now() - Duration::from_secs(1), Duration::from_millis(1));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let refused = client.call(request(method)).await.unwrap_err().to_string();
            assert!(refused.contains("Lease"), "{refused}");
        }
        client.call(request(Method::GET)).await.unwrap();
    }
}
