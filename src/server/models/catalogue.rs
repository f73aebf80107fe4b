//! The list of models, kept in memory so that a request asks nobody which model goes where.

use mai_contract::environment;
use parking_lot::RwLock;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::upstreams::Upstream;
use crate::App;
use crate::connection::Connection;
use mai_openrouter::models::Model;
use mai_openrouter::{Client, UpstreamError};

/// A list older than this is still used, while a new one is fetched behind it.
const FRESH: Duration = Duration::from_secs(600);
/// A list that could not be fetched is tried again after this.
const RETRY: Duration = Duration::from_secs(5);

/// A model people can choose.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedModel {
    /// What a request names it by.
    pub id: String,
    /// What people call it.
    pub label: String,
    /// How many tokens it can hold in mind, when known.
    pub context_length: Option<u64>,
    /// Who runs it.
    pub upstream: Upstream,
    /// Everything the upstream says of it.
    pub details: Map<String, Value>,
}

/// Where a request for a model goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// To this upstream.
    To(Upstream),
    /// Nowhere: it is not offered, or not allowed.
    NotFound,
}

/// All models as of one moment.
#[derive(Debug, Default)]
pub struct Catalogue {
    models: Vec<OfferedModel>,
    routes: HashMap<String, Upstream>,
    /// MAI_MODELS; empty allows all.
    allowed: HashSet<String>,
    /// Why the connection's upstream did not tell its models.
    problem: Option<UpstreamError>,
}

impl Catalogue {
    /// What people can choose from: as allowed, else by name.
    pub fn models(&self) -> &[OfferedModel] {
        &self.models
    }

    /// Why the list may be incomplete: the upstream could not be asked.
    pub fn problem(&self) -> Option<&UpstreamError> {
        self.problem.as_ref()
    }

    /// Where a request for this model goes.
    pub fn route(&self, model: &str) -> Routing {
        if let Some(upstream) = self.routes.get(model) {
            return Routing::To(*upstream);
        }
        if self.problem.is_some() && !model.is_empty() {
            // Nobody knows what there is: let the upstream judge, as far as it is allowed.
            return if self.allows(model) { Routing::To(Upstream::Main) } else { Routing::NotFound };
        }
        // OpenRouter's variants (`:nitro`, `:online`) are not listed; they are the same model, asked in another way.
        match model.rsplit_once(':').and_then(|(base, _)| self.routes.get(base)) {
            Some(Upstream::Main) if self.allows(model) => Routing::To(Upstream::Main),
            _ => Routing::NotFound,
        }
    }

    fn allows(&self, model: &str) -> bool {
        self.allowed.is_empty() || self.allowed.contains(model)
    }

    fn build(
        allowed: &[String],
        main: Result<Vec<Model>, UpstreamError>,
        ollama: Result<Vec<Model>, UpstreamError>,
    ) -> Self {
        let (main, problem) = match main {
            Ok(models) => (models, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let mut models: Vec<OfferedModel> = Vec::new();
        let mut routes = HashMap::new();
        let known = main.into_iter().map(|model| (model, Upstream::Main));
        let known: Vec<(Model, Upstream)> =
            known.chain(ollama.unwrap_or_default().into_iter().map(|model| (model, Upstream::Ollama))).collect();
        if allowed.is_empty() {
            for (model, upstream) in known {
                if !routes.contains_key(&model.id) {
                    routes.insert(model.id.clone(), upstream);
                    models.push(OfferedModel::of(model, upstream));
                }
            }
            models.sort_by_cached_key(|model| (model.label.to_lowercase(), model.id.clone()));
        } else {
            for id in allowed {
                let base = id.rsplit_once(':').map_or(id.as_str(), |(base, _)| base);
                let find = |id: &str| known.iter().find(|(model, _)| model.id == id);
                let offered = match find(id).or_else(|| find(base).filter(|(_, upstream)| *upstream == Upstream::Main))
                {
                    Some((model, upstream)) => {
                        OfferedModel { id: id.clone(), ..OfferedModel::of(model.clone(), *upstream) }
                    }
                    None if problem.is_some() => OfferedModel::unknown(id),
                    None => {
                        tracing::warn!(model = %id, "{} allows a model that the upstream does not offer", environment::MODELS);
                        continue;
                    }
                };
                if routes.insert(id.clone(), offered.upstream).is_none() {
                    models.push(offered);
                }
            }
        }
        Self { models, routes, allowed: allowed.iter().cloned().collect(), problem }
    }
}

impl OfferedModel {
    fn of(model: Model, upstream: Upstream) -> Self {
        Self {
            label: model.label().to_owned(),
            context_length: model.context_length(),
            id: model.id,
            upstream,
            details: model.rest,
        }
    }

    /// Allowed, and perhaps there: the upstream could not be asked.
    fn unknown(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            label: id.to_owned(),
            context_length: None,
            upstream: Upstream::Main,
            details: Map::new(),
        }
    }
}

/// The list in use. It belongs to a connection and is fetched anew when that changes.
#[derive(Debug, Default)]
pub struct Models {
    current: RwLock<Option<Known>>,
    /// Held while fetching, so that many requests at once fetch once.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    catalogue: Arc<Catalogue>,
    connection: Arc<Connection>,
    at: Instant,
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < if self.catalogue.problem.is_some() { RETRY } else { FRESH }
    }
}

impl Models {
    fn known(&self, connection: &Arc<Connection>) -> Option<Known> {
        let current = self.current.read();
        current.as_ref().filter(|known| Arc::ptr_eq(&known.connection, connection)).cloned()
    }
}

/// The models; from memory, except for the first time after a start or a change of the connection.
pub async fn list(app: &App) -> Arc<Catalogue> {
    let connection = app.connections.current();
    match app.models.known(&connection) {
        Some(known) if known.is_fresh() => known.catalogue,
        // A list that is merely old is good enough to answer with. One that never came is waited for again.
        Some(known) if known.catalogue.problem.is_none() => {
            if app.models.fetching.try_lock().is_ok() {
                let app = app.clone();
                tokio::spawn(async move { fetch(&app, known.at).await });
            }
            known.catalogue
        }
        Some(known) => fetch(app, known.at).await,
        None => fetch(app, Instant::now()).await,
    }
}

/// The models, asked for anew.
pub(super) async fn reload(app: &App) -> Arc<Catalogue> {
    fetch(app, Instant::now()).await
}

/// Asks the upstreams, unless somebody else did so after `than`.
async fn fetch(app: &App, than: Instant) -> Arc<Catalogue> {
    let _turn = app.models.fetching.lock().await;
    let connection = app.connections.current();
    let former = app.models.known(&connection);
    if let Some(known) = &former
        && known.at > than
    {
        return Arc::clone(&known.catalogue);
    }
    let main = async { app.upstreams.main(&connection)?.models().await };
    let ollama = async {
        match app.upstreams.ollama() {
            Some(client) => models_of(client).await,
            None => Ok(Vec::new()),
        }
    };
    let (main, ollama) = tokio::join!(main, ollama);
    if let Err(error) = &ollama {
        tracing::warn!(%error, "the models of OLLAMA_BASE_URL are not offered");
    }
    let catalogue = match (main, former) {
        (Err(error), Some(former)) if former.catalogue.problem.is_none() => {
            tracing::warn!(%error, "the list of models could not be renewed; the former one stays in use");
            former.catalogue
        }
        (main, _) => {
            if let Err(error) = &main {
                tracing::warn!(%error, "the list of models could not be loaded");
            }
            Arc::new(Catalogue::build(&app.config.models, main, ollama))
        }
    };
    let known = Known { catalogue: Arc::clone(&catalogue), connection, at: Instant::now() };
    *app.models.current.write() = Some(known);
    catalogue
}

async fn models_of(client: Result<Client, UpstreamError>) -> Result<Vec<Model>, UpstreamError> {
    client?.models().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str) -> Model {
        Model { id: id.to_owned(), name: None, rest: Map::new() }
    }

    fn catalogue(allowed: &[&str], main: Result<&[&str], ()>) -> Catalogue {
        let allowed: Vec<String> = allowed.iter().map(|id| (*id).to_owned()).collect();
        let down = UpstreamError::Unreachable { origin: "http://o".to_owned(), reason: "down".to_owned() };
        let main = main.map(|ids| ids.iter().map(|id| model(id)).collect()).map_err(|()| down);
        Catalogue::build(&allowed, main, Ok(vec![model("llama"), model("a/b")]))
    }

    #[test]
    fn a_model_goes_where_it_is_offered_and_allowed() {
        let main = Routing::To(Upstream::Main);
        let all = catalogue(&[], Ok(&["a/b", "c/d"]));
        let some = catalogue(&["c/d:nitro", "llama", "gone"], Ok(&["a/b", "c/d"]));
        let down = catalogue(&[], Err(()));
        let down_some = catalogue(&["c/d"], Err(()));
        for (catalogue, model, expected) in [
            (&all, "a/b", main),
            (&all, "llama", Routing::To(Upstream::Ollama)),
            (&all, "c/d:online", main),
            (&all, "llama:online", Routing::NotFound),
            (&all, "x/y", Routing::NotFound),
            (&all, "", Routing::NotFound),
            (&some, "c/d:nitro", main),
            (&some, "c/d", Routing::NotFound),
            (&some, "a/b", Routing::NotFound),
            (&some, "gone", Routing::NotFound),
            (&some, "llama", Routing::To(Upstream::Ollama)),
            (&down, "anything", main),
            (&down, "llama", Routing::To(Upstream::Ollama)),
            (&down, "", Routing::NotFound),
            (&down_some, "c/d", main),
            (&down_some, "a/b", Routing::NotFound),
        ] {
            assert_eq!(catalogue.route(model), expected, "{model} in {catalogue:?}");
        }
        let ids = |catalogue: &Catalogue| catalogue.models().iter().map(|model| model.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&all), ["a/b", "c/d", "llama"]);
        assert_eq!(ids(&some), ["c/d:nitro", "llama"]);
    }
}
