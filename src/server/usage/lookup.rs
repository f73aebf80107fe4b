//! Looks up the usage of generations whose answers were cut off in the upstream's records.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use sqlx::Row;
use tokio_util::sync::CancellationToken;

use super::budget::{LONGEST_RESERVATION_MS, Reservation, oldest_reservation, reservation, reservations};
use super::ledger::Ledger;
use crate::connection::Connections;
use crate::database::{Database, DatabaseError};
use crate::models::Upstreams;
use mai_openrouter::generation::Generation;
use mai_openrouter::{Client, NanoUsd, UpstreamError, is_name};

/// Delay before the second try; it doubles for each later one.
const FIRST_DELAY_MS: i64 = 500;
const LONGEST_DELAY_MS: i64 = 10 * 60 * 1000;
/// After this many answers of "not found" (about nine minutes) the record counts as missing.
const MOST_NOT_FOUND: i64 = 11;
/// The same where tokens are known and only the cost is not: many upstreams have no records, and
/// would be asked in vain after each answer.
const MOST_NOT_FOUND_WITH_TOKENS: i64 = 6;
/// Delay before the second try after an error, such as of an upstream that limits requests.
const FIRST_ERROR_DELAY_MS: i64 = 2_000;
/// A row is tried for this long while the upstream is unreachable.
const RETRY_LIMIT_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const CONCURRENCY: usize = 8;
/// Pause after a database error.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// A ledger row without usage.
struct Missing {
    id: String,
    /// `None` where the upstream gave the id of another generation.
    generation_id: Option<String>,
    /// The id of the connection it was sent over.
    connection: Option<String>,
    tries: i64,
    started_at: i64,
    /// True when the answer told its tokens, but not its cost.
    has_tokens: bool,
    reservation: Reservation,
}

/// The verdict on what the upstream says of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing (yet), or the record of another generation.
    Nothing,
    /// A record that has no numbers yet.
    Unsettled,
    /// The final record.
    Settled,
    /// No answer, or one that is not understood.
    Error,
    /// It was not asked for: the connection it was sent over is not in use.
    Elsewhere,
    /// It cannot be asked for: the upstream gave the id of another generation.
    NoId,
}

impl Found {
    /// Returns why the cost is unknown, as the column has it, while it is looked up or when that has
    /// `ended`.
    fn unknown_reason(self, ended: bool) -> Option<&'static str> {
        match self {
            Self::Elsewhere => Some("connection_changed"),
            Self::NoId => Some("id_of_another"),
            Self::Nothing if ended => Some("no_record"),
            Self::Error if ended => Some("no_answer"),
            Self::Nothing | Self::Error | Self::Unsettled | Self::Settled => None,
        }
    }
}

/// Says what an answer to a lookup is worth.
fn judge(asked: &str, answer: &Result<Option<Generation>, UpstreamError>) -> Found {
    match answer {
        Err(_) => Found::Error,
        Ok(None) => Found::Nothing,
        Ok(Some(found)) if !found.id.is_empty() && found.id != asked => Found::Nothing,
        Ok(Some(found)) => {
            let usage = found.usage();
            if usage.cost.is_none() || usage.says_nothing() { Found::Unsettled } else { Found::Settled }
        }
    }
}

/// Closes the rows that a former run of the server left open. Those of a version that did not note
/// the connection were sent over the one in use, as far as anybody knows.
pub(crate) async fn close_interrupted(db: &Database, connection_id: String) -> Result<(), DatabaseError> {
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
                .execute(&mut *connection)
                .await?;
                sqlx::query("UPDATE generation SET connection = ? WHERE connection IS NULL AND lookup_at IS NOT NULL")
                    .bind(connection_id)
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
                () = self.connections.replaced() => {}
            }
        }
    }

    /// Looks up all due rows and returns the time of the next one.
    async fn look_up_due(&self) -> Result<Option<i64>, DatabaseError> {
        // The row that woke this task may not be written yet.
        self.db.flush().await?;
        let release = self.release_old().await?;
        let now = Timestamp::now().as_millisecond();
        let connection = self.connections.current();
        let current = self.connections.id(&connection);
        let due: Vec<Missing> = sqlx::query(
            "SELECT id, generation_id, connection, lookup_tries, started_at, source IS NOT NULL AS has_tokens,
                 markup_ppm, credit_fee_ppm, billed, user_id, api_key_id, reserved_nano_usd
             FROM generation WHERE lookup_at IS NOT NULL
             AND (lookup_at <= ?1 OR lookup_at > ?3 OR (unknown_reason = 'connection_changed' AND connection = ?2))
             ORDER BY lookup_at LIMIT 64",
        )
        .bind(now)
        .bind(&current)
        // No delay is as long: the clock was set back since.
        .bind(now + 2 * LONGEST_DELAY_MS)
        .fetch_all(self.db.reader())
        .await?
        .iter()
        .map(|row| {
            Ok(Missing {
                id: row.try_get("id")?,
                generation_id: row.try_get("generation_id")?,
                connection: row.try_get("connection")?,
                tries: row.try_get("lookup_tries")?,
                started_at: row.try_get("started_at")?,
                has_tokens: row.try_get("has_tokens")?,
                reservation: reservation(row)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()?;
        if !due.is_empty() {
            let client = self.upstreams.main(&connection);
            let mut lookups = futures::stream::iter(due)
                .map(|missing| {
                    let (client, current) = (client.clone(), current.as_str());
                    async move {
                        let (found, record) = look_up(client, current, &missing).await;
                        (missing, found, record)
                    }
                })
                .buffer_unordered(CONCURRENCY);
            while let Some((missing, found, record)) = lookups.next().await {
                self.complete(missing, found, record).await?;
            }
            self.ledger.notify();
        }
        let lookup: Option<i64> =
            sqlx::query_scalar("SELECT min(lookup_at) FROM generation WHERE lookup_at IS NOT NULL")
                .fetch_one(self.db.reader())
                .await?;
        Ok([lookup, release].into_iter().flatten().min())
    }

    /// Ends the reservations of generations whose cost was not found within a day. Returns when the
    /// next one ends.
    async fn release_old(&self) -> Result<Option<i64>, DatabaseError> {
        let oldest = || async {
            sqlx::query_scalar::<_, Option<i64>>(
                "SELECT min(started_at) FROM generation WHERE reserved_nano_usd IS NOT NULL AND settled_at IS NULL",
            )
            .fetch_one(self.db.reader())
            .await
        };
        let limit = oldest_reservation(Timestamp::now());
        if oldest().await?.is_some_and(|at| at < limit.as_millisecond()) {
            for (id, reservation) in reservations(&self.db).await? {
                if reservation.at < limit {
                    self.release(id, &reservation).await?;
                }
            }
        }
        Ok(oldest().await?.map(|at| at.saturating_add(LONGEST_RESERVATION_MS)))
    }

    async fn release(&self, id: String, reservation: &Reservation) -> Result<(), DatabaseError> {
        tracing::warn!(generation = %id, "the cost of a generation was not found within a day; nothing is reserved for it any more");
        self.db
            .write(move |connection| {
                Box::pin(async move {
                    let query = "UPDATE generation SET reserved_nano_usd = NULL WHERE id = ?";
                    sqlx::query(query).bind(id).execute(connection).await?;
                    Ok(())
                })
            })
            .await?;
        self.ledger.budgets.settle(reservation, NanoUsd::ZERO);
        Ok(())
    }

    /// Books the record of a generation, or says when it is looked up again.
    async fn complete(&self, missing: Missing, found: Found, record: Option<Generation>) -> Result<(), DatabaseError> {
        let now = Timestamp::now().as_millisecond();
        let next = next_try(&missing, found, now);
        // A record that stays empty until the last try is the truth: nothing was charged.
        let is_final = found == Found::Settled || (found == Found::Unsettled && next.is_none());
        let Some(record) = record.filter(|_| is_final) else { return self.postpone(missing, found, next).await };
        let (pricing, cost) = (missing.reservation.pricing, record.usage().cost);
        let reservation = missing.reservation.clone();
        let is_written = self
            .db
            .write(move |connection| {
                Box::pin(async move {
                    let usage = record.usage();
                    let count = |tokens: Option<u64>| tokens.and_then(|n| i64::try_from(n).ok());
                    let done = sqlx::query(
                        "UPDATE generation SET prompt_tokens = coalesce(?, prompt_tokens),
                         completion_tokens = coalesce(?, completion_tokens), total_tokens = coalesce(?, total_tokens),
                         reasoning_tokens = coalesce(?, reasoning_tokens), cached_tokens = coalesce(?, cached_tokens),
                         cost_nano_usd = coalesce(?, cost_nano_usd),
                         price_nano_usd = coalesce(?, price_nano_usd), settled_at = ?,
                         own_key_cost_nano_usd = coalesce(?, own_key_cost_nano_usd), provider = coalesce(provider, ?),
                         answered_model = coalesce(answered_model, ?),
                         source = 'generation', lookup_at = NULL, lookup_tries = lookup_tries + 1,
                         unknown_reason = NULL
                         WHERE id = ? AND lookup_at IS NOT NULL",
                    )
                    .bind(count(usage.prompt_tokens))
                    .bind(count(usage.completion_tokens))
                    .bind(count(usage.total_tokens))
                    .bind(count(usage.reasoning_tokens))
                    .bind(count(usage.cached_tokens))
                    .bind(usage.cost.map(|cost| cost.get()))
                    .bind(usage.cost.map(|cost| pricing.price(cost).get()))
                    .bind(usage.cost.map(|_| now))
                    .bind(usage.own_key_cost.map(|cost| cost.get()))
                    .bind(record.provider_name.filter(|name| is_name(name)))
                    .bind(record.model.filter(|name| is_name(name)))
                    .bind(missing.id)
                    .execute(connection)
                    .await?;
                    Ok(done.rows_affected() > 0)
                })
            })
            .await?;
        if let Some(cost) = cost.filter(|_| is_written) {
            self.ledger.budgets.settle(&reservation, cost);
        }
        Ok(())
    }

    async fn postpone(&self, missing: Missing, found: Found, next: Option<i64>) -> Result<(), DatabaseError> {
        let reason = found.unknown_reason(next.is_none());
        if next.is_none() {
            let generation = missing.generation_id.unwrap_or_default();
            let reason = reason.unwrap_or_default();
            tracing::warn!(%generation, reason, "the cost of a generation stays unknown");
        }
        self.db
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE generation SET lookup_at = ?, lookup_tries = lookup_tries + ?, unknown_reason = ?
                         WHERE id = ? AND lookup_at IS NOT NULL",
                    )
                    .bind(next)
                    // Nobody was asked: the tries are for when the connection returns.
                    .bind(i64::from(found != Found::Elsewhere))
                    .bind(reason)
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

/// Asks for the record of a generation, if the connection it was sent over is the one in use. Returns
/// what came of it, and the record where there is one.
async fn look_up(
    client: Result<Client, UpstreamError>,
    current: &str,
    missing: &Missing,
) -> (Found, Option<Generation>) {
    if missing.connection.as_deref() != Some(current) {
        return (Found::Elsewhere, None);
    }
    let Some(id) = missing.generation_id.as_deref() else { return (Found::NoId, None) };
    let answer = match client {
        Ok(client) => client.generation(id).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &answer {
        tracing::debug!(%error, generation = %id, "usage could not be looked up yet");
    }
    (judge(id, &answer), answer.ok().flatten())
}

/// Returns the time of the next try, or `None` to give up.
fn next_try(missing: &Missing, found: Found, now: i64) -> Option<i64> {
    let most = if missing.has_tokens { MOST_NOT_FOUND_WITH_TOKENS } else { MOST_NOT_FOUND };
    let (given_up, first) = match found {
        Found::Settled | Found::NoId => return None,
        Found::Elsewhere => {
            let has_time = now - missing.started_at <= RETRY_LIMIT_MS;
            return has_time.then_some(now + LONGEST_DELAY_MS);
        }
        Found::Nothing | Found::Unsettled => (missing.tries + 1 >= most, FIRST_DELAY_MS),
        Found::Error => (now - missing.started_at > RETRY_LIMIT_MS, FIRST_ERROR_DELAY_MS),
    };
    let delay = first.saturating_mul(1 << missing.tries.clamp(0, 20)).min(LONGEST_DELAY_MS);
    (!given_up).then_some(now + delay)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::pricing::Pricing;
    use super::*;

    fn missing(tries: i64) -> Missing {
        Missing {
            id: String::new(),
            generation_id: None,
            connection: None,
            tries,
            started_at: 0,
            has_tokens: false,
            reservation: Reservation {
                user: String::new(),
                key: None,
                at: Timestamp::UNIX_EPOCH,
                price: NanoUsd::ZERO,
                cost: NanoUsd::ZERO,
                pricing: Pricing::AT_COST,
                billed: true,
            },
        }
    }

    #[test]
    fn lookups_back_off_and_end() {
        let delays = |found, tries: std::ops::Range<i64>| -> Vec<Option<i64>> {
            tries.map(|tries| next_try(&missing(tries), found, 0)).collect()
        };
        assert_eq!(delays(Found::Nothing, 0..4), [Some(500), Some(1_000), Some(2_000), Some(4_000)]);
        assert_eq!(delays(Found::Unsettled, 9..12), [Some(256_000), None, None]);
        assert_eq!(delays(Found::Error, 0..3), [Some(2_000), Some(4_000), Some(8_000)]);
        assert_eq!(
            delays(Found::Error, 40..41),
            [Some(LONGEST_DELAY_MS)],
            "an upstream that is down is asked for longer"
        );
        assert_eq!(next_try(&missing(40), Found::Error, RETRY_LIMIT_MS + 1), None);
        assert_eq!(next_try(&missing(0), Found::Elsewhere, 1), Some(1 + LONGEST_DELAY_MS));
        assert_eq!(next_try(&missing(0), Found::Elsewhere, RETRY_LIMIT_MS + 1), None);
        assert_eq!(next_try(&missing(0), Found::NoId, 0), None);
        let with_tokens = Missing { has_tokens: true, ..missing(5) };
        assert_eq!(next_try(&with_tokens, Found::Nothing, 0), None);
    }

    #[test]
    fn record_counts_once_it_is_settled_and_ours() {
        let record = |json: &str| Ok(Some(serde_json::from_str::<Generation>(json).unwrap()));
        for (json, found) in [
            (
                r#"{"id":"a","native_tokens_prompt":20,"native_tokens_completion":7,"total_cost":0.0042}"#,
                Found::Settled,
            ),
            (r#"{"native_tokens_prompt":20,"total_cost":0.0042}"#, Found::Settled),
            (r#"{"id":"a","total_cost":0.0042}"#, Found::Settled),
            (r#"{"id":"a","native_tokens_prompt":20,"total_cost":0}"#, Found::Settled),
            (r#"{"id":"a","native_tokens_prompt":null,"total_cost":null}"#, Found::Unsettled),
            (r#"{"id":"a","native_tokens_prompt":20,"total_cost":null}"#, Found::Unsettled),
            (r#"{"id":"a","native_tokens_prompt":0,"total_cost":0}"#, Found::Unsettled),
            (r#"{"id":"b","native_tokens_prompt":9,"total_cost":9.99}"#, Found::Nothing),
        ] {
            assert_eq!(judge("a", &record(json)), found, "{json}");
        }
        assert_eq!(judge("a", &Ok(None)), Found::Nothing);
        assert_eq!(judge("a", &Err(UpstreamError::InvalidKey)), Found::Error);
    }
}
