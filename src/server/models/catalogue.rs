//! The models on offer, and the upstream of each.

use std::collections::{HashMap, HashSet};

use mai_contract::environment;
use serde_json::{Map, Value};

use super::price::ModelPrice;
use super::upstreams::Upstream;
use mai_openrouter::UpstreamError;
use mai_openrouter::models::Model;

/// A model people can choose.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedModel {
    /// Its name in requests.
    pub id: String,
    /// Its name for people.
    pub label: String,
    /// The context length in tokens, when known.
    pub context_length: Option<u64>,
    /// The upstream that runs it.
    pub upstream: Upstream,
    /// The rest of the upstream's description.
    pub details: Map<String, Value>,
}

/// The destination of a request for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// To this upstream.
    To(Upstream),
    /// Nowhere: it is not offered, or not allowed.
    NotFound,
}

/// All models at one moment.
#[derive(Debug, Default)]
pub struct Catalogue {
    models: Vec<OfferedModel>,
    routes: HashMap<String, Upstream>,
    /// The prices of the models, where they are known; those of an Ollama cost nothing.
    prices: HashMap<String, ModelPrice>,
    /// MAI_MODELS; empty allows all.
    allowed: HashSet<String>,
    /// The error of the connection's upstream, when it did not list its models.
    problem: Option<UpstreamError>,
}

impl Catalogue {
    /// The models to choose from: in the order of MAI_MODELS, else by name.
    pub fn models(&self) -> &[OfferedModel] {
        &self.models
    }

    /// The upstream's error, when the list may be incomplete.
    pub fn problem(&self) -> Option<&UpstreamError> {
        self.problem.as_ref()
    }

    /// Returns the destination of a request for this model.
    pub fn route(&self, model: &str) -> Routing {
        if let Some(upstream) = self.routes.get(model) {
            return Routing::To(*upstream);
        }
        if self.problem.is_some() && !model.is_empty() {
            // The models are unknown: let the upstream decide about one that is allowed.
            return if self.allows(model) { Routing::To(Upstream::Main) } else { Routing::NotFound };
        }
        // OpenRouter's variants (`:nitro`, `:online`) are not listed; they are the same model with
        // other options.
        match model.rsplit_once(':').and_then(|(base, _)| self.routes.get(base)) {
            Some(Upstream::Main) if self.allows(model) => Routing::To(Upstream::Main),
            _ => Routing::NotFound,
        }
    }

    /// Returns the destination of a request for embeddings. Upstreams list their models apart from
    /// those of chats, or not at all, so the upstream decides about one that is allowed.
    pub fn route_embeddings(&self, model: &str) -> Routing {
        match self.route(model) {
            Routing::NotFound if !model.is_empty() && self.allows(model) => Routing::To(Upstream::Main),
            routing => routing,
        }
    }

    /// Returns the prices of a model; a variant (`:nitro`) has those of the model itself.
    pub fn price(&self, model: &str) -> Option<&ModelPrice> {
        let base = || self.prices.get(model.rsplit_once(':')?.0);
        self.prices.get(model).or_else(base)
    }

    /// Returns true when only certain models are allowed.
    pub fn is_restricted(&self) -> bool {
        !self.allowed.is_empty()
    }

    fn allows(&self, model: &str) -> bool {
        self.allowed.is_empty() || self.allowed.contains(model)
    }

    pub(super) fn build(
        allowed: &[String],
        main: Result<Vec<Model>, UpstreamError>,
        ollama: Result<Vec<Model>, UpstreamError>,
    ) -> Self {
        let (main, problem) = match main {
            Ok(models) => (models, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        // Not known, or known to be none, which no upstream means to say.
        let unlisted = main.is_empty();
        let price = |(model, upstream): &(Model, Upstream)| match upstream {
            Upstream::Main => Some((model.id.clone(), ModelPrice::read(&model.rest)?)),
            Upstream::Ollama => Some((model.id.clone(), ModelPrice::FREE)),
        };
        let mut models: Vec<OfferedModel> = Vec::new();
        let mut routes = HashMap::new();
        let known = main.into_iter().map(|model| (model, Upstream::Main));
        let known: Vec<(Model, Upstream)> =
            known.chain(ollama.unwrap_or_default().into_iter().map(|model| (model, Upstream::Ollama))).collect();
        // The connection's model comes first where both offer one of the same name.
        let prices = known.iter().rev().filter_map(price).collect();
        if allowed.is_empty() {
            for (model, upstream) in known {
                if !routes.contains_key(&model.id) {
                    routes.insert(model.id.clone(), upstream);
                    models.push(OfferedModel::new(model, upstream));
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
                        OfferedModel { id: id.clone(), ..OfferedModel::new(model.clone(), *upstream) }
                    }
                    None if unlisted => OfferedModel::unknown(id),
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
        Self { models, routes, prices, allowed: allowed.iter().cloned().collect(), problem }
    }
}

impl OfferedModel {
    fn new(model: Model, upstream: Upstream) -> Self {
        Self {
            label: model.label().to_owned(),
            context_length: model.context_length(),
            id: model.id,
            upstream,
            details: model.rest,
        }
    }

    /// A model that is allowed and may exist: the upstream lists none.
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

#[cfg(test)]
mod tests {
    use mai_openrouter::NetworkFailure;

    use super::*;

    fn model(id: &str) -> Model {
        Model { id: id.to_owned(), name: None, rest: Map::new() }
    }

    fn catalogue(allowed: &[&str], main: Result<&[&str], ()>) -> Catalogue {
        let allowed: Vec<String> = allowed.iter().map(|id| (*id).to_owned()).collect();
        let down = UpstreamError::Unreachable { origin: "http://o".to_owned(), reason: NetworkFailure::NoAddress };
        let main = main.map(|ids| ids.iter().map(|id| model(id)).collect()).map_err(|()| down);
        Catalogue::build(&allowed, main, Ok(vec![model("llama"), model("a/b")]))
    }

    #[test]
    fn models_are_routed_where_offered_and_allowed() {
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
        for (catalogue, model, expected) in [
            (&all, "embed/small", main),
            (&all, "llama", Routing::To(Upstream::Ollama)),
            (&all, "", Routing::NotFound),
            (&some, "gone", main),
            (&some, "embed/small", Routing::NotFound),
        ] {
            assert_eq!(catalogue.route_embeddings(model), expected, "embeddings of {model}");
        }
        let ids = |catalogue: &Catalogue| catalogue.models().iter().map(|model| model.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&all), ["a/b", "c/d", "llama"]);
        assert_eq!(ids(&some), ["c/d:nitro", "llama"]);
    }
}
