//! Asks the upstream for its record of generations whose answers were cut off, until it tells or time is up.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use sqlx::Row;

use crate::App;
use crate::database::{Database, DatabaseError};
use mai_openrouter::generation::Generation;
use mai_openrouter::{Client, UpstreamError};

/// The second try waits this long; each later one twice as long as the one before.
const FIRST_DELAY_MS: i64 = 500;
const LONGEST_DELAY_MS: i64 = 10 * 60 * 1000;
/// After so many answers of "not found" (about nine minutes) the upstream is taken at its word.
const MOST_NOT_FOUND: i64 = 11;
/// While the upstream cannot be asked at all, a row is tried for this long.
const PATIENCE_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const AT_ONCE: usize = 8;
/// After a failure of the database itself.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// A row whose usage is not known.
struct Missing {
    id: String,
    generation_id: String,
    tries: i64,
    started_at: i64,
}

/// Closes what a former run of the server left open: it can no longer end otherwise.
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
        tracing::warn!(
            generations = interrupted,
            "a former run ended in the middle of answers; asking for their usage"
        );
    }
    Ok(())
}

/// Runs until the server closes. It sleeps while there is nothing to ask.
pub(crate) async fn run(app: App) {
    let closing = app.closing.clone();
    closing.run_until_cancelled(look_up_forever(&app)).await;
}

async fn look_up_forever(app: &App) {
    loop {
        let next = match round(app).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "usage that is still unknown could not be looked up; trying again");
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
            () = app.ledger.lookups.notified() => {}
        }
    }
}

fn until(at: i64) -> Duration {
    Duration::from_millis((at - Timestamp::now().as_millisecond()).clamp(0, LONGEST_DELAY_MS).unsigned_abs())
}

/// Asks for everything that is due; tells when the next is.
async fn round(app: &App) -> Result<Option<i64>, DatabaseError> {
    // Whoever woke us queued a row that may not be written yet.
    app.db.flush().await?;
    let now = Timestamp::now().as_millisecond();
    // Both questions go to one reader: right after the first, the pool would not have it back and open another one, which stays for good.
    let mut reader = app.db.reader().acquire().await?;
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
        let client = app.upstreams.main(&app.connections.current());
        let mut asked = futures::stream::iter(due)
            .map(|missing| {
                let client = client.clone();
                async move {
                    let told = ask(client, &missing.generation_id).await;
                    (missing, told)
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((missing, told)) = asked.next().await {
            enter(app, missing, told).await?;
        }
        app.ledger.tell();
        reader = app.db.reader().acquire().await?;
    }
    Ok(sqlx::query_scalar("SELECT min(lookup_at) FROM generation WHERE lookup_at IS NOT NULL")
        .fetch_one(&mut *reader)
        .await?)
}

async fn ask(client: Result<Client, UpstreamError>, id: &str) -> Result<Option<Generation>, UpstreamError> {
    client?.generation(id).await
}

/// When to ask again, if ever.
fn next_try(missing: &Missing, not_found: bool, now: i64) -> Option<i64> {
    let given_up = if not_found { missing.tries + 1 >= MOST_NOT_FOUND } else { now - missing.started_at > PATIENCE_MS };
    let delay = FIRST_DELAY_MS.saturating_mul(1 << missing.tries.clamp(0, 20)).min(LONGEST_DELAY_MS);
    (!given_up).then_some(now + delay)
}

async fn enter(
    app: &App,
    missing: Missing,
    told: Result<Option<Generation>, UpstreamError>,
) -> Result<(), DatabaseError> {
    let now = Timestamp::now().as_millisecond();
    let found = match told {
        Ok(Some(found)) => found,
        Ok(None) => return postpone(app, missing, true, now).await,
        Err(error) => {
            tracing::debug!(%error, generation = %missing.generation_id, "usage could not be looked up yet");
            return postpone(app, missing, false, now).await;
        }
    };
    app.db
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

async fn postpone(app: &App, missing: Missing, not_found: bool, now: i64) -> Result<(), DatabaseError> {
    let next = next_try(&missing, not_found, now);
    if next.is_none() {
        tracing::warn!(generation = %missing.generation_id, "the upstream has no record of a generation; its cost stays unknown");
    }
    app.db
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

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(tries: i64) -> Missing {
        Missing { id: String::new(), generation_id: String::new(), tries, started_at: 0 }
    }

    #[test]
    fn tries_come_ever_more_slowly_and_end() {
        let delays: Vec<Option<i64>> = (0..12).map(|tries| next_try(&missing(tries), true, 0)).collect();
        assert_eq!(delays[..4], [Some(500), Some(1_000), Some(2_000), Some(4_000)]);
        assert_eq!(delays[9..], [Some(256_000), None, None]);
        assert_eq!(
            next_try(&missing(40), false, 0),
            Some(LONGEST_DELAY_MS),
            "an upstream that is down is asked for longer"
        );
        assert_eq!(next_try(&missing(40), false, PATIENCE_MS + 1), None);
    }
}
