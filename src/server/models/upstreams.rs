//! The clients of the upstreams: the connection's, and an Ollama beside it. Made once, not for each request.

use std::sync::Arc;

use crate::Config;
use crate::connection::Connection;
use mai_openrouter::Pool;
use mai_openrouter::{Client, UpstreamError};
use parking_lot::Mutex;

/// Which of the upstreams a model is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// The one the connection names.
    Main,
    /// The Ollama of OLLAMA_BASE_URL, which costs nothing.
    Ollama,
}

/// Clients with their connections kept open.
#[derive(Debug)]
pub struct Upstreams {
    pool: Pool,
    /// The client of the connection last asked for.
    main: Mutex<Option<(Arc<Connection>, Client)>>,
    ollama: Option<Result<Client, UpstreamError>>,
}

impl Upstreams {
    pub(crate) fn new(config: &Config) -> Self {
        let pool = Pool::new();
        let ollama = config.ollama_base_url.as_deref().map(|base| {
            let base = base.trim_end_matches('/');
            Client::new(&pool, &format!("{}/v1", base.strip_suffix("/v1").unwrap_or(base)), None)
        });
        Self { pool, main: Mutex::new(None), ollama }
    }

    /// The client of a connection.
    pub fn main(&self, connection: &Arc<Connection>) -> Result<Client, UpstreamError> {
        let mut main = self.main.lock();
        if let Some((of, client)) = &*main
            && Arc::ptr_eq(of, connection)
        {
            return Ok(client.clone());
        }
        let client = Client::new(&self.pool, &connection.base_url, connection.key.as_ref())?;
        *main = Some((Arc::clone(connection), client.clone()));
        Ok(client)
    }

    /// The client of the Ollama, when there is one.
    pub fn ollama(&self) -> Option<Result<Client, UpstreamError>> {
        self.ollama.clone()
    }
}
