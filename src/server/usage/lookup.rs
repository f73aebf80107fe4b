//! Looks up the usage of generations whose answers were cut off in the upstream's records.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use crate::connection::Connections;
use crate::database::{Database, DatabaseError};
use crate::models::Upstreams;
use mai_openrouter::generation::Generation;
use mai_openrouter::{Client, UpstreamError};

/// Delay before the second try; it doubles for each later one.
const FIRST_DELAY_MS: i64 = 500;
const LONGEST_DELAY_MS: i64 = 10 * 60 * 1000;
/// After this many answers of "not found" (about nine minutes) the record counts as missing.
const MOST_NOT_FOUND: i64 = 11;
/// A row is tried for this long while the upstream is unreachable.
const RETRY_LIMIT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const CONCURRENCY: usize = 8;
/// Pause after a database error.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// A ledger row without usage.
struct Missing {
    id: String,
    generation_id: String,
    tries: i64,
    started_at: i64,
}

/// Closes the rows that a former run of the server left open.
pub(crate) async fn close_interrupted(db: &Database) -> Result<(), DatabaseError> {
    let now = Timestamp::now().as_millisecond();
    let interrupted = db
        .write(move |connection| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE generation SET status = 'interrupted',
                     lookup_at = CASE WHEN generation_id IS NOT NULL AND source IS NULL THEN ?1 END
                     WHERE status = 'pending'",
                )
                .bind(now)
                .execute(connection)
                .await?;
                Ok(done.rows_affected())
            })
        })
        .await?;
    if interrupted > 0 {
        tracing::warn!(generations = interrupted, "a former run ended during answers; looking up their usage");
    }
    Ok(())
}

/// The background task that completes ledger rows from the upstream's records.
pub(crate) struct UsageLookup {
    pub(crate) db: Database,
    pub(crate) ledger: Ledger,
    pub(crate) connections: Connections,
    pub(crate) upstreams: Upstreams,
}

impl UsageLookup {
    /// Runs until `closing` is cancelled. It sleeps while no row is due.
    pub(crate) async fn run(self, closing: CancellationToken) {
        closing.run_until_cancelled(self.look_up_forever()).await;
    }

    async fn look_up_forever(&self) {
        loop {
            let next = match self.look_up_due().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "looking up unknown usage failed; trying again");
                    tokio::time::sleep(DATABASE_PAUSE).await;
                    continue;
                }
            };
            let wait = async {
                match next {
                    Some(at) => tokio::time::sleep(until(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => {}
                () = self.ledger.lookups.notified() => {}
            }
        }
    }

    /// Looks up all due rows and returns the time of the next one.
    async fn look_up_due(&self) -> Result<Option<i64>, DatabaseError> {
        // The row that woke this task may not be written yet.
        self.db.flush().await?;
        let now = Timestamp::now().as_millisecond();
        // Both queries use one reader: right after the first, the pool would not have it back and
        // would open another one, which stays open.
        let mut reader = self.db.reader().acquire().await?;
        let due: Vec<Missing> = sqlx::query(
            "SELECT id, generation_id, lookup_tries, started_at FROM generation
             WHERE lookup_at <= ? AND generation_id IS NOT NULL ORDER BY lookup_at LIMIT 64",
        )
        .bind(now)
        .fetch_all(&mut *reader)
        .await?
        .iter()
        .map(|row| {
            Ok(Missing {
                id: row.try_get("id")?,
                generation_id: row.try_get("generation_id")?,
                tries: row.try_get("lookup_tries")?,
                started_at: row.try_get("started_at")?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
        if !due.is_empty() {
            drop(reader);
            let client = self.upstreams.main(&self.connections.current());
            let mut answers = futures::stream::iter(due)
                .map(|missing| {
                    let client = client.clone();
                    async move {
                        let answer = request_record(client, &missing.generation_id).await;
                        (missing, answer)
                    }
                })
                .buffer_unordered(CONCURRENCY);
            while let Some((missing, answer)) = answers.next().await {
                self.complete(missing, answer).await?;
            }
            self.ledger.notify();
            reader = self.db.reader().acquire().await?;
        }
        Ok(sqlx::query_scalar("SELECT min(lookup_at) FROM generation WHERE lookup_at IS NOT NULL")
            .fetch_one(&mut *reader)
            .await?)
    }

    async fn complete(
        &self,
        missing: Missing,
        answer: Result<Option<Generation>, UpstreamError>,
    ) -> Result<(), DatabaseError> {
        let now = Timestamp::now().as_millisecond();
        let found = match answer {
            Ok(Some(found)) => found,
            Ok(None) => return self.postpone(missing, true, now).await,
            Err(error) => {
                tracing::debug!(%error, generation = %missing.generation_id, "usage could not be looked up yet");
                return self.postpone(missing, false, now).await;
            }
        };
        self.db
            .write(move |connection| {
                Box::pin(async move {
                    let usage = found.usage();
                    let count = |tokens: Option<u64>| tokens.and_then(|n| i64::try_from(n).ok());
                    sqlx::query(
                        "UPDATE generation SET prompt_tokens = ?, completion_tokens = ?, total_tokens = ?,
                         reasoning_tokens = ?, cached_tokens = ?, cost_micro_usd = ?, provider = coalesce(provider, ?),
                         source = 'generation', lookup_at = NULL, lookup_tries = lookup_tries + 1
                         WHERE id = ? AND source IS NULL",
                    )
                    .bind(count(usage.prompt_tokens))
                    .bind(count(usage.completion_tokens))
                    .bind(count(usage.total_tokens))
                    .bind(count(usage.reasoning_tokens))
                    .bind(count(usage.cached_tokens))
                    .bind(usage.cost.map(|cost| cost.get()))
                    .bind(found.provider_name)
                    .bind(missing.id)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }

    async fn postpone(&self, missing: Missing, not_found: bool, now: i64) -> Result<(), DatabaseError> {
        let next = next_try(&missing, not_found, now);
        if next.is_none() {
            tracing::warn!(generation = %missing.generation_id, "the upstream has no record of a generation; its cost stays unknown");
        }
        self.db
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE generation SET lookup_at = ?, lookup_tries = lookup_tries + 1 WHERE id = ? AND source IS NULL",
                    )
                    .bind(next)
                    .bind(missing.id)
                    .execute(connection)
                    .await?;
                    Ok(())
                })
            })
            .await
    }
}

fn until(at: i64) -> Duration {
    Duration::from_millis((at - Timestamp::now().as_millisecond()).clamp(0, LONGEST_DELAY_MS).unsigned_abs())
}

async fn request_record(client: Result<Client, UpstreamError>, id: &str) -> Result<Option<Generation>, UpstreamError> {
    client?.generation(id).await
}

/// Returns the time of the next try, or `None` to give up.
fn next_try(missing: &Missing, not_found: bool, now: i64) -> Option<i64> {
    let given_up =
        if not_found { missing.tries + 1 >= MOST_NOT_FOUND } else { now - missing.started_at > RETRY_LIMIT_MS };
    let delay = FIRST_DELAY_MS.saturating_mul(1 << missing.tries.clamp(0, 20)).min(LONGEST_DELAY_MS);
    (!given_up).then_some(now + delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(tries: i64) -> Missing {
        Missing { id: String::new(), generation_id: String::new(), tries, started_at: 0 }
    }

    #[test]
    fn lookups_back_off_and_end() {
        let delays: Vec<Option<i64>> = (0..12).map(|tries| next_try(&missing(tries), true, 0)).collect();
        assert_eq!(delays[..4], [Some(500), Some(1_000), Some(2_000), Some(4_000)]);
        assert_eq!(delays[9..], [Some(256_000), None, None]);
        assert_eq!(
            next_try(&missing(40), false, 0),
            Some(LONGEST_DELAY_MS),
            "an upstream that is down is asked for longer"
        );
        assert_eq!(next_try(&missing(40), false, RETRY_LIMIT_MS + 1), None);
    }
}
