//! A layer of the client that sends writes only while the Lease is valid.
//!
//! A program that the system stopped for a while continues where it was. Another operator may lead
//! by then, and the write would undo its work.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use http::{Method, Request};
use parking_lot::Mutex;
use tower::{BoxError, Layer, Service};

/// Time until which writes may be sent; none without a limit.
#[derive(Clone, Debug)]
pub(super) struct LeaseGuard(Arc<Mutex<Option<Instant>>>);

/// A write was not sent.
#[derive(Debug, thiserror::Error)]
#[error("the Lease was not renewed in time, so nothing is written any more")]
struct LeaseExpired;

impl LeaseGuard {
    /// Returns a guard that allows all writes, for the only operator.
    pub(super) fn unlimited() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// Allows writes for the time `valid` after `renewed`.
    pub(super) fn allow_until(&self, renewed: Instant, valid: Duration) {
        *self.0.lock() = Some(renewed + valid);
    }

    fn allows_writes(&self) -> bool {
        self.0.lock().is_none_or(|until| Instant::now() < until)
    }
}

impl<S> Layer<S> for LeaseGuard {
    type Service = GuardedService<S>;

    fn layer(&self, service: S) -> GuardedService<S> {
        GuardedService { lease_guard: self.clone(), service }
    }
}

/// A client whose writes pass a guard.
#[derive(Clone, Debug)]
pub(super) struct GuardedService<S> {
    lease_guard: LeaseGuard,
    service: S,
}

impl<S, B> Service<Request<B>> for GuardedService<S>
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
        if reads || self.lease_guard.allows_writes() {
            self.service.call(request).boxed()
        } else {
            std::future::ready(Err(LeaseExpired.into())).boxed()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn expired_lease_blocks_writes_and_no_reads() {
        let lease_guard = LeaseGuard::unlimited();
        let answers = tower::service_fn(async |_: Request<()>| Ok::<_, BoxError>(()));
        let mut client = lease_guard.layer(answers);
        let request = |method: Method| Request::builder().method(method).body(()).unwrap();
        client.call(request(Method::PATCH)).await.unwrap();
        lease_guard.allow_until(Instant::now(), Duration::from_secs(60));
        client.call(request(Method::POST)).await.unwrap();
        lease_guard.allow_until(Instant::now() - Duration::from_secs(1), Duration::from_millis(1));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let refused = client.call(request(method)).await.unwrap_err().to_string();
            assert!(refused.contains("Lease"), "{refused}");
        }
        client.call(request(Method::GET)).await.unwrap();
    }
}
