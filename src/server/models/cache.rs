//! The catalogue in memory, so that no request waits for the upstream to learn its model's
//! destination.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::catalogue::Catalogue;
use super::upstreams::Upstreams;
use crate::connection::{Connection, Connections};
use mai_openrouter::models::Model;
use mai_openrouter::{Client, UpstreamError};

/// An older catalogue is still used while a new one is fetched in the background.
const FRESH: Duration = Duration::from_secs(600);
/// Pause before a catalogue that could not be fetched is requested again.
const RETRY: Duration = Duration::from_secs(5);

/// The models on offer. The catalogue belongs to a connection and is fetched again when that
/// changes. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Models(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// MAI_MODELS; empty allows all.
    allowed: Vec<String>,
    connections: Connections,
    upstreams: Upstreams,
    cached: RwLock<Option<Cached>>,
    /// Locked while fetching, so that many requests at once fetch once.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Cached {
    catalogue: Arc<Catalogue>,
    connection: Arc<Connection>,
    at: Instant,
}

impl Cached {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < if self.catalogue.problem().is_some() { RETRY } else { FRESH }
    }
}

impl Models {
    pub(crate) fn new(allowed: Vec<String>, connections: Connections, upstreams: Upstreams) -> Self {
        let (cached, fetching) = (RwLock::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared { allowed, connections, upstreams, cached, fetching }))
    }

    /// The catalogue; from memory, except for the first time after a start or a change of the
    /// connection.
    pub async fn list(&self) -> Arc<Catalogue> {
        let connection = self.0.connections.current();
        match self.cached(&connection) {
            Some(cached) if cached.is_fresh() => cached.catalogue,
            // A catalogue that is merely old is good enough. One that never came is waited for
            // again.
            Some(cached) if cached.catalogue.problem().is_none() => {
                if self.0.fetching.try_lock().is_ok() {
                    let models = self.clone();
                    tokio::spawn(async move { models.fetch(cached.at).await });
                }
                cached.catalogue
            }
            Some(cached) => self.fetch(cached.at).await,
            None => self.fetch(Instant::now()).await,
        }
    }

    /// The catalogue, fetched again.
    pub async fn reload(&self) -> Arc<Catalogue> {
        self.fetch(Instant::now()).await
    }

    fn cached(&self, connection: &Arc<Connection>) -> Option<Cached> {
        let cached = self.0.cached.read();
        cached.as_ref().filter(|cached| Arc::ptr_eq(&cached.connection, connection)).cloned()
    }

    /// Fetches the catalogue, unless another request did so after `newer_than`.
    async fn fetch(&self, newer_than: Instant) -> Arc<Catalogue> {
        let _fetching = self.0.fetching.lock().await;
        let connection = self.0.connections.current();
        let former = self.cached(&connection);
        if let Some(cached) = &former
            && cached.at > newer_than
        {
            return Arc::clone(&cached.catalogue);
        }
        let main = async { self.0.upstreams.main(&connection)?.models().await };
        let ollama = async {
            match self.0.upstreams.ollama() {
                Some(client) => models_of(client).await,
                None => Ok(Vec::new()),
            }
        };
        let (main, ollama) = tokio::join!(main, ollama);
        if let Err(error) = &ollama {
            tracing::warn!(%error, "the models of OLLAMA_BASE_URL are not offered");
        }
        let catalogue = match (main, former) {
            (Err(error), Some(former)) if former.catalogue.problem().is_none() => {
                tracing::warn!(%error, "the list of models could not be renewed; the former one stays in use");
                former.catalogue
            }
            (main, _) => {
                if let Err(error) = &main {
                    tracing::warn!(%error, "the list of models could not be loaded");
                }
                Arc::new(Catalogue::build(&self.0.allowed, main, ollama))
            }
        };
        let cached = Cached { catalogue: Arc::clone(&catalogue), connection, at: Instant::now() };
        *self.0.cached.write() = Some(cached);
        catalogue
    }
}

async fn models_of(client: Result<Client, UpstreamError>) -> Result<Vec<Model>, UpstreamError> {
    client?.models().await
}
