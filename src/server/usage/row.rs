//! A row of the ledger, and the statement that writes many.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};
use sqlx::SqliteConnection;
use tokio::sync::watch;

use super::pricing::Pricing;
use crate::database::{Batch, DatabaseError};
use mai_openrouter::{NanoUsd, Usage};

/// The state of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GenerationStatus {
    /// It runs.
    Pending,
    /// It ended normally.
    Completed,
    /// The client left or stopped it.
    Cancelled,
    /// The upstream refused, failed or was lost.
    Failed,
    /// The server ended first.
    Interrupted,
}

/// The source of tokens and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageSource {
    /// The answer itself.
    Usage,
    /// The upstream's record, requested afterwards.
    Generation,
}

/// The interface a question came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The OpenAI-compatible API.
    Api,
    /// The chat page.
    Page,
}

/// The purpose of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// An answer that somebody asked for.
    Answer,
    /// Embeddings of texts.
    Embedding,
}

/// A generation's row as it will be after writing. The last row of a generation wins.
#[derive(Debug, Clone)]
pub(super) struct GenerationRow {
    pub(super) id: String,
    pub(super) generation_id: Option<String>,
    pub(super) user_id: String,
    pub(super) api_key_id: Option<Arc<str>>,
    pub(super) model: String,
    pub(super) provider: Option<String>,
    pub(super) started_at: i64,
    pub(super) finished_at: Option<i64>,
    pub(super) status: GenerationStatus,
    pub(super) streamed: bool,
    pub(super) usage: Usage,
    pub(super) source: Option<UsageSource>,
    pub(super) via: Via,
    pub(super) chat_id: Option<String>,
    pub(super) lookup_at: Option<i64>,
    /// The id of the connection it was sent over; `None` for an Ollama.
    pub(super) connection: Option<Arc<str>>,
    pub(super) purpose: Purpose,
    /// The model that answered.
    pub(super) answered_model: Option<String>,
    /// False over a connection that an admin of the client entered.
    pub(super) billed: bool,
    pub(super) pricing: Pricing,
    /// Seconds east of Greenwich of the client's clocks.
    pub(super) utc_offset: i32,
    /// The cost that is reserved for it.
    pub(super) reserved: Option<NanoUsd>,
    /// Notified when the row is written.
    pub(super) changed: watch::Sender<()>,
}

impl GenerationRow {
    /// True when it has ended with a known cost, so that nothing of it changes any more.
    pub(super) fn is_settled(&self) -> bool {
        self.status != GenerationStatus::Pending && self.usage.cost.is_some() && self.lookup_at.is_none()
    }
}

/// A row as it is written, without the upstream's id when another row of the same statement has it.
struct SerializedRow<'a> {
    row: &'a GenerationRow,
    with_generation_id: bool,
}

impl Serialize for SerializedRow<'_> {
    /// An array in the order of [`UPSERT`]'s columns: SQLite reads one faster than an object.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (row, usage) = (self.row, &self.row.usage);
        let mut columns = serializer.serialize_tuple(34)?;
        columns.serialize_element(&row.id)?;
        columns.serialize_element(&row.generation_id.as_deref().filter(|_| self.with_generation_id))?;
        columns.serialize_element(&row.user_id)?;
        columns.serialize_element(&row.model)?;
        columns.serialize_element(&row.provider)?;
        columns.serialize_element(&row.started_at)?;
        columns.serialize_element(&row.finished_at)?;
        columns.serialize_element(&row.status)?;
        columns.serialize_element(&u8::from(row.streamed))?;
        columns.serialize_element(&usage.prompt_tokens)?;
        columns.serialize_element(&usage.completion_tokens)?;
        columns.serialize_element(&usage.total_tokens)?;
        columns.serialize_element(&usage.reasoning_tokens)?;
        columns.serialize_element(&usage.cached_tokens)?;
        columns.serialize_element(&usage.cost)?;
        columns.serialize_element(&row.source)?;
        columns.serialize_element(&row.via)?;
        columns.serialize_element(&row.chat_id)?;
        columns.serialize_element(&row.lookup_at)?;
        columns.serialize_element(&usage.own_key_cost)?;
        columns.serialize_element(&row.api_key_id.as_deref())?;
        columns.serialize_element(&row.connection.as_deref())?;
        columns.serialize_element(&row.purpose)?;
        columns.serialize_element(&row.answered_model)?;
        columns.serialize_element(&u8::from(row.billed))?;
        columns.serialize_element(&row.pricing.markup.get())?;
        columns.serialize_element(&row.pricing.credit_fee.get())?;
        columns.serialize_element(&usage.cost.map(|cost| row.pricing.price(cost)))?;
        columns.serialize_element(&row.utc_offset)?;
        columns.serialize_element(&row.finished_at.filter(|_| row.is_settled()))?;
        columns.serialize_element(&usage.cache_write_tokens)?;
        columns.serialize_element(&usage.web_searches)?;
        columns.serialize_element(&usage.tool_cost)?;
        columns.serialize_element(&row.reserved)?;
        columns.end()
    }
}

/// A final row never changes, and an upstream id of another row of the same connection is not written
/// a second time: no generation is counted twice, in whatever order rows come.
const UPSERT: &str = "
    INSERT INTO generation (id, generation_id, user_id, model, provider, started_at, finished_at, status, streamed,
        prompt_tokens, completion_tokens, total_tokens, reasoning_tokens, cached_tokens, cost_nano_usd, source, via,
        chat_id, lookup_at, own_key_cost_nano_usd, api_key_id, connection, purpose, answered_model, billed, markup_ppm,
        credit_fee_ppm, price_nano_usd, utc_offset, settled_at, cache_write_tokens, web_searches, tool_cost_nano_usd,
        reserved_nano_usd)
    SELECT value ->> 0,
        CASE WHEN EXISTS (SELECT 1 FROM generation AS other
            WHERE other.connection IS value ->> 21 AND other.generation_id = value ->> 1 AND other.id <> value ->> 0)
            THEN NULL ELSE value ->> 1 END,
        value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7, value ->> 8, value ->> 9,
        value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14, value ->> 15, value ->> 16,
        value ->> 17, value ->> 18, value ->> 19, value ->> 20, value ->> 21, value ->> 22, value ->> 23, value ->> 24,
        value ->> 25, value ->> 26, value ->> 27, value ->> 28, value ->> 29, value ->> 30, value ->> 31, value ->> 32,
        value ->> 33
    FROM json_each(?1) WHERE true
    ON CONFLICT (id) DO UPDATE SET
        generation_id = coalesce(excluded.generation_id, generation.generation_id),
        provider = excluded.provider,
        finished_at = excluded.finished_at,
        status = excluded.status,
        prompt_tokens = excluded.prompt_tokens,
        completion_tokens = excluded.completion_tokens,
        total_tokens = excluded.total_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        cached_tokens = excluded.cached_tokens,
        cost_nano_usd = excluded.cost_nano_usd,
        own_key_cost_nano_usd = excluded.own_key_cost_nano_usd,
        source = excluded.source,
        lookup_at = excluded.lookup_at,
        answered_model = excluded.answered_model,
        price_nano_usd = excluded.price_nano_usd,
        settled_at = excluded.settled_at,
        cache_write_tokens = excluded.cache_write_tokens,
        web_searches = excluded.web_searches,
        tool_cost_nano_usd = excluded.tool_cost_nano_usd
    WHERE generation.status = 'pending'";

/// The rows to write: of each generation the last, and each upstream id once.
fn last_of_each(rows: &[GenerationRow]) -> Vec<SerializedRow<'_>> {
    let mut written = HashSet::new();
    let mut upstream_ids = HashSet::new();
    rows.iter()
        .rev()
        .filter(|row| written.insert(row.id.as_str()))
        .map(|row| {
            let generation_id = row.generation_id.as_deref().map(|id| (row.connection.as_deref(), id));
            let with_generation_id = generation_id.is_some_and(|id| upstream_ids.insert(id));
            SerializedRow { row, with_generation_id }
        })
        .collect()
}

impl Batch for GenerationRow {
    /// Most answers of a busy moment begin and end within this, and are then written once.
    const LINGER: Duration = Duration::from_millis(20);

    fn key(&self) -> &str {
        &self.id
    }

    fn bytes(&self) -> usize {
        let texts = [&self.generation_id, &self.provider, &self.chat_id, &self.answered_model]
            .into_iter()
            .flatten()
            .map(String::len);
        size_of::<Self>() + self.id.len() + self.user_id.len() + self.model.len() + texts.sum::<usize>()
    }

    /// The generation was asked for in any case; what it used is then unknown.
    fn without_content(&self) -> Option<Self> {
        Some(Self {
            generation_id: None,
            provider: None,
            answered_model: None,
            usage: Usage::default(),
            source: None,
            lookup_at: None,
            ..self.clone()
        })
    }

    fn written(&self) {
        self.changed.send_replace(());
    }

    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> {
        Box::pin(async move {
            let json = serde_json::to_string(&last_of_each(rows)).map_err(|error| sqlx::Error::Encode(error.into()))?;
            sqlx::query(UPSERT).bind(json).execute(connection).await?;
            Ok(())
        })
    }
}
