//! MAI_MOCK_UPSTREAM: a mock upstream inside this process, to try a server without a key.

use std::io;

use secrecy::SecretString;
use tokio::net::TcpListener;

use super::upstream::{Connection, ConnectionSource};
use mai_openrouter::AddressPolicy;
use mai_openrouter::mock::{MockOptions, serve};

/// The only key the mock accepts, so that a wrong one can be tried too.
const KEY: &str = "sk-or-v1-mock";

/// Starts the mock on a free port of this machine and returns the connection to it. It ends with
/// the process.
pub(crate) async fn start_mock() -> io::Result<Connection> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base_url = format!("http://{}/api/v1", listener.local_addr()?);
    let key = SecretString::from(KEY);
    let options = MockOptions { key: Some(key.clone()), ..MockOptions::default() };
    tokio::spawn(async move {
        if let Err(error) = serve(listener, options).await {
            tracing::error!(%error, "the mock upstream stopped");
        }
    });
    tracing::warn!(%base_url, "answers come from a mock: MAI_MOCK_UPSTREAM is on");
    let addresses = AddressPolicy::any();
    Ok(Connection { base_url, key: Some(key), source: ConnectionSource::Mock, addresses })
}
