//! Sends chat completions to the upstream of their model: the only way to a model, for API and
//! pages.

use std::sync::Arc;

use axum::http::{HeaderMap, Response};
use secrecy::SecretString;
use uuid::Uuid;

use super::error::CompletionError;
use super::metered_body::MeteredBody;
use super::upstream_rules::UpstreamRules;
use super::upstream_user::upstream_user;
use crate::connection::{Connection, ConnectionSource, Connections};
use crate::models::{Catalogue, Models, RequestSize, Routing, Upstream, Upstreams};
use crate::usage::{GenerationStatus, Ledger, NewGeneration, Purpose, Via};
use crate::user::UserId;
use mai_openrouter::{AnswerSummary, NanoUsd, RequestBody, UpstreamError, is_name};

/// An operation of OpenAI's API that runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    /// Of a text instead of a conversation, as editors request it.
    Completion,
    Embeddings,
    Responses,
}

impl Operation {
    /// Its path below the base URL.
    const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Completion => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Responses => "/responses",
        }
    }

    const fn purpose(self) -> Purpose {
        match self {
            Self::Chat | Self::Completion | Self::Responses => Purpose::Answer,
            Self::Embeddings => Purpose::Embedding,
        }
    }
}

/// A chat completion to request, or another operation that runs a model.
pub(crate) struct CompletionRequest<'a> {
    pub(crate) operation: Operation,
    pub(crate) user: &'a UserId,
    /// The id of the API key it came with.
    pub(crate) key: Option<&'a Arc<str>>,
    pub(crate) model: &'a str,
    /// Other models the upstream may fall back to.
    pub(crate) fallbacks: &'a [String],
    pub(crate) streamed: bool,
    pub(crate) via: Via,
    pub(crate) chat: Option<Uuid>,
    pub(crate) size: RequestSize,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
}

/// Fewest tokens of an answer that are asked for; some providers refuse less.
const SHORTEST_ANSWER: u64 = 16;
/// Most tokens of an answer in the pages where a budget limits it, so that two can be written at once.
const LONGEST_ANSWER: u64 = 32_000;

/// True where the provider pays for what is sent.
fn is_billed(connection: &Connection, upstream: Upstream) -> bool {
    connection.source != ConnectionSource::Database || upstream == Upstream::Ollama
}

/// Returns the upstream of a model and its fallbacks, if they may be used for this.
fn route_in(
    catalogue: &Catalogue,
    connection: &Connection,
    operation: Operation,
    model: &str,
    fallbacks: &[String],
) -> Result<Upstream, CompletionError> {
    if !is_name(model) {
        return Err(CompletionError::ModelNotFound);
    }
    let route = |model: &str| match operation {
        Operation::Embeddings => catalogue.route_embeddings(model),
        Operation::Chat | Operation::Completion | Operation::Responses => catalogue.route(model),
    };
    let Routing::To(upstream) = route(model) else { return Err(CompletionError::ModelNotFound) };
    if fallbacks.iter().any(|model| route(model) != Routing::To(upstream)) {
        return Err(CompletionError::ModelNotFound);
    }
    if upstream == Upstream::Main && !connection.is_configured() {
        return Err(CompletionError::NoConnection);
    }
    Ok(upstream)
}

/// The response header with OpenRouter's generation id.
const GENERATION_ID: &str = "x-generation-id";

/// Routes, sends and meters chat completions. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Completions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connections: Connections,
    upstreams: Upstreams,
    models: Models,
    ledger: Ledger,
    rules: UpstreamRules,
    /// Salts the user ids that the upstream sees.
    secret: SecretString,
}

impl Completions {
    pub(crate) fn new(
        connections: Connections,
        upstreams: Upstreams,
        models: Models,
        ledger: Ledger,
        rules: UpstreamRules,
        secret: SecretString,
    ) -> Self {
        Self(Arc::new(Shared { connections, upstreams, models, ledger, rules, secret }))
    }

    /// Returns the upstream of a model and its fallbacks, if they may be used for this.
    pub(crate) async fn route(
        &self,
        operation: Operation,
        model: &str,
        fallbacks: &[String],
    ) -> Result<Upstream, CompletionError> {
        let Shared { connections, models, .. } = &*self.0;
        let catalogue = models.list().await;
        route_in(&catalogue, &connections.current(), operation, model, fallbacks)
    }

    /// Sends a request and returns the answer as it comes. From here on it is in the ledger, whose
    /// row is closed however the answer ends; dropping the answer cancels it at the upstream.
    pub(crate) async fn send(&self, request: CompletionRequest<'_>) -> Result<Response<MeteredBody>, CompletionError> {
        let Shared { connections, upstreams, ledger, models, rules, .. } = &*self.0;
        // A missing connection is reported first: without one, no model can be found either.
        let connection = connections.current();
        if !connection.is_configured() && upstreams.ollama().is_none() {
            return Err(CompletionError::NoConnection);
        }
        let catalogue = models.list().await;
        let upstream = route_in(&catalogue, &connection, request.operation, request.model, request.fallbacks)?;
        let client = match (upstream, upstreams.ollama()) {
            (Upstream::Ollama, Some(client)) => client?,
            _ => upstreams.main(&connection)?,
        };
        let body = match upstream {
            Upstream::Main => {
                rules.check(&connection)?;
                rules.apply(request.body)?
            }
            // An Ollama is the provider's own, and has no such rules.
            Upstream::Ollama => request.body,
        };
        // An answer whose cost could not be booked is not asked for.
        if ledger.is_full() {
            return Err(CompletionError::Overloaded);
        }
        let mut answering = std::iter::once(request.model).chain(request.fallbacks.iter().map(String::as_str));
        // Of several models any one may answer; what an unknown one costs is not known.
        let most = answering
            .try_fold(NanoUsd::ZERO, |most, model| Some(most.max(catalogue.price(model)?.most(&request.size))));
        let mut entry = ledger.begin(NewGeneration {
            user: request.user.clone(),
            key: request.key.cloned(),
            model: request.model.to_owned(),
            streamed: request.streamed,
            via: request.via,
            chat: request.chat,
            purpose: request.operation.purpose(),
            most,
            billed: is_billed(&connection, upstream),
            connection: (upstream == Upstream::Main).then(|| connections.id(&connection)),
        })?;
        match client.post(request.operation.path(), request.headers, body).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                if let Some(id) =
                    head.headers.get(GENERATION_ID).and_then(|id| id.to_str().ok()).filter(|id| is_name(id))
                {
                    entry.set_generation_id(id);
                }
                let with_text = request.via == Via::Page;
                let body = MeteredBody::new(body, entry, head.status, &head.headers, with_text);
                Ok(Response::from_parts(head, body))
            }
            Err(error) => {
                match &error {
                    UpstreamError::ConnectionLost { .. } => {
                        entry.finish(GenerationStatus::Failed, AnswerSummary::default());
                    }
                    _ => entry.finish_refused(),
                }
                Err(error.into())
            }
        }
    }

    /// Returns the most tokens that an answer in the pages may have, so that it costs no more than is
    /// left of the budgets; `None` where nothing limits it, or no price is known.
    pub(crate) async fn longest_affordable_answer(
        &self,
        user: &UserId,
        model: &str,
        size: &RequestSize,
    ) -> Option<u64> {
        let Shared { connections, ledger, models, .. } = &*self.0;
        let catalogue = models.list().await;
        let Routing::To(upstream) = catalogue.route(model) else { return None };
        let left = ledger.affordable(user, is_billed(&connections.current(), upstream))?;
        let tokens = catalogue.price(model)?.answer_within(size, left);
        // Some models refuse fewer; what is too dear then is refused by the budget.
        Some(tokens.clamp(SHORTEST_ANSWER, LONGEST_ANSWER))
    }

    /// Returns true when only certain models are allowed.
    pub(crate) async fn is_restricted(&self) -> bool {
        self.0.models.list().await.is_restricted()
    }

    /// Returns the id the upstream sees instead of a user's own.
    pub(crate) fn upstream_user(&self, user: &UserId) -> String {
        upstream_user(&self.0.secret, user)
    }
}
