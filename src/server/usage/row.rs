//! A row of the ledger, and how many of them are written with one statement.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use sqlx::SqliteConnection;
use tokio::sync::watch;

use crate::openrouter::Usage;
use crate::server::database::{Batch, DatabaseError};

/// How a generation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It runs.
    Pending,
    /// It ended by itself.
    Completed,
    /// Whoever asked went away or pressed stop.
    Cancelled,
    /// The upstream refused, failed or was lost.
    Failed,
    /// This server ended before it did.
    Interrupted,
}

/// Where tokens and cost are known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The answer itself.
    Usage,
    /// The upstream's record, asked for afterwards.
    Generation,
}

/// Which door a question came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The OpenAI-compatible API.
    Api,
    /// The chat page.
    Page,
}

/// One generation's row as it shall stand after writing. Rows of a generation follow each other; the last one wins.
#[derive(Debug, Clone)]
pub(super) struct GenerationRow {
    pub(super) id: String,
    pub(super) generation_id: Option<String>,
    pub(super) user_id: String,
    pub(super) model: String,
    pub(super) provider: Option<String>,
    pub(super) started_at: i64,
    pub(super) finished_at: Option<i64>,
    pub(super) status: Status,
    pub(super) streamed: bool,
    pub(super) usage: Usage,
    pub(super) source: Option<Source>,
    pub(super) via: Via,
    pub(super) chat_id: Option<String>,
    pub(super) lookup_at: Option<i64>,
    /// Told when the row is written.
    pub(super) changed: watch::Sender<()>,
}

/// In the order of [`UPSERT`]'s columns.
type Columns<'a> = (
    (&'a str, Option<&'a str>, &'a str, &'a str, Option<&'a str>, i64, Option<i64>, Status),
    (u8, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<i64>),
    (Option<Source>, Via, Option<&'a str>, Option<i64>),
);

/// A row once final never changes here, and an upstream id some other row has is not written a second time: no
/// generation can be counted twice, whatever order rows come in.
const UPSERT: &str = "
    INSERT INTO generation (id, generation_id, user_id, model, provider, started_at, finished_at, status, streamed,
        prompt_tokens, completion_tokens, total_tokens, reasoning_tokens, cached_tokens, cost_micro_usd, source, via,
        chat_id, lookup_at)
    SELECT value ->> '$[0][0]',
        CASE WHEN EXISTS (SELECT 1 FROM generation AS other
            WHERE other.generation_id = value ->> '$[0][1]' AND other.id <> value ->> '$[0][0]')
            THEN NULL ELSE value ->> '$[0][1]' END,
        value ->> '$[0][2]', value ->> '$[0][3]', value ->> '$[0][4]', value ->> '$[0][5]', value ->> '$[0][6]',
        value ->> '$[0][7]', value ->> '$[1][0]', value ->> '$[1][1]', value ->> '$[1][2]', value ->> '$[1][3]',
        value ->> '$[1][4]', value ->> '$[1][5]', value ->> '$[1][6]', value ->> '$[2][0]', value ->> '$[2][1]',
        value ->> '$[2][2]', value ->> '$[2][3]'
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
        cost_micro_usd = excluded.cost_micro_usd,
        source = excluded.source,
        lookup_at = excluded.lookup_at
    WHERE generation.status = 'pending'";

impl GenerationRow {
    fn columns(&self, generation_id: Option<&'static str>) -> Columns<'_> {
        let usage = &self.usage;
        (
            (
                &self.id,
                generation_id.or(self.generation_id.as_deref()).filter(|id| !id.is_empty()),
                &self.user_id,
                &self.model,
                self.provider.as_deref(),
                self.started_at,
                self.finished_at,
                self.status,
            ),
            (
                self.streamed.into(),
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.total_tokens,
                usage.reasoning_tokens,
                usage.cached_tokens,
                usage.cost.map(|cost| cost.get()),
            ),
            (self.source, self.via, self.chat_id.as_deref(), self.lookup_at),
        )
    }
}

/// The rows to write: of each generation the last, and each upstream id once.
fn last_of_each(rows: &[GenerationRow]) -> Vec<Columns<'_>> {
    let mut written = HashSet::new();
    let mut upstream_ids = HashSet::new();
    rows.iter()
        .rev()
        .filter(|row| written.insert(row.id.as_str()))
        .map(|row| {
            let again = row.generation_id.as_deref().is_some_and(|id| !upstream_ids.insert(id));
            row.columns(again.then_some(""))
        })
        .collect()
}

impl Batch for GenerationRow {
    /// Most answers of a busy moment begin and end within this, and are then written once.
    const LINGER: Duration = Duration::from_millis(20);

    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> {
        Box::pin(async move {
            let json = serde_json::to_string(&last_of_each(rows)).map_err(|error| sqlx::Error::Encode(error.into()))?;
            sqlx::query(UPSERT).bind(json).execute(connection).await?;
            if let Some(row) = rows.first() {
                row.changed.send_replace(());
            }
            Ok(())
        })
    }
}
