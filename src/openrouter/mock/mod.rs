//! A mock of OpenRouter, for trials without a key, for tests and for measurements.
//!
//! It keeps to OpenRouter's documented shapes: streamed and whole chat completions,
//! `X-Generation-Id`, usage with cost, `GET /generation` (404 for half a second after the end),
//! `GET /key`, `GET /models`, and its errors. A request sets its behaviour, see [`Behaviour`].
//! With a management key it makes keys (`/keys`), whose limits count what they spent, and answers
//! `/activity` and `/credits`.
//! Below `/v1` instead of `/api/v1` it plays an Ollama: other models, no key, no cost.
//!
//! A request goes from `handler` to `completion`, which builds the answer from a `template` and
//! puts the generation on `records`.

mod answer;
mod behaviour;
mod body;
mod catalogue;
mod completion;
mod handler;
mod keys;
mod management;
mod options;
mod records;
mod response;
mod template;

use std::io;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use behaviour::Behaviour;
pub use options::MockOptions;

/// Serves the mock until the future is dropped, which also ends its connections.
pub async fn serve(listener: TcpListener, options: MockOptions) -> io::Result<()> {
    let mock = Arc::new(handler::Mock::new(options));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            Some(_) = connections.join_next() => continue,
        };
        stream.set_nodelay(true)?;
        let mock = Arc::clone(&mock);
        connections.spawn(async move {
            let service = service_fn(|request| handler::handle(Arc::clone(&mock), request));
            // A client that leaves, or is cut off on purpose, is no error.
            let _ =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
