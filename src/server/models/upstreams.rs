//! The clients of the upstreams: the connection's, and an additional Ollama.

use std::sync::Arc;

use crate::connection::Connection;
use mai_openrouter::Pool;
use mai_openrouter::{Client, UpstreamError};
use parking_lot::Mutex;

/// An upstream that runs models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// The connection's.
    Main,
    /// The Ollama of OLLAMA_BASE_URL, which costs nothing.
    Ollama,
}

/// Clients with their connections kept open. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Upstreams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// The client of the connection last used.
    main: Mutex<Option<(Arc<Connection>, Client)>>,
    ollama: Option<Result<Client, UpstreamError>>,
}

impl Upstreams {
    pub(crate) fn new(ollama_base_url: Option<&str>) -> Self {
        let pool = Pool::new();
        let ollama = ollama_base_url.map(|base| {
            let base = base.trim_end_matches('/');
            Client::new(&pool, &format!("{}/v1", base.strip_suffix("/v1").unwrap_or(base)), None)
        });
        Self(Arc::new(Shared { pool, main: Mutex::new(None), ollama }))
    }

    /// The open connections, for calls to others.
    pub(crate) fn pool(&self) -> Pool {
        self.0.pool.clone()
    }

    /// The client of a connection.
    pub fn main(&self, connection: &Arc<Connection>) -> Result<Client, UpstreamError> {
        let mut main = self.0.main.lock();
        if let Some((current, client)) = &*main
            && Arc::ptr_eq(current, connection)
        {
            return Ok(client.clone());
        }
        let client = Client::new(&self.0.pool, &connection.base_url, connection.key.as_ref())?
            .with_addresses(connection.addresses.clone());
        *main = Some((Arc::clone(connection), client.clone()));
        Ok(client)
    }

    /// The client of the Ollama, when one is configured.
    pub fn ollama(&self) -> Option<Result<Client, UpstreamError>> {
        self.0.ollama.clone()
    }
}
