//! Writes the statement of a month.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use sqlx::SqliteConnection;

use crate::audit::Action;
use crate::database::{Database, DatabaseError};
use crate::usage::Month;

/// Months before a statement that it corrects. What settles later than that is not billed.
const CORRECTED_MONTHS: i32 = 12;

/// Returns how many days after 1970-01-01 a day is.
pub(super) fn day_number(day: Date) -> i64 {
    i64::from((day - date(1970, 1, 1)).get_days())
}

/// Returns the day of its number.
pub(super) fn day_of_number(number: i64) -> Date {
    let epoch = date(1970, 1, 1);
    epoch.checked_add(number.days()).unwrap_or(epoch)
}

/// Freezes a month, and returns whether it was not frozen before. All of it is written, or nothing.
pub(super) async fn freeze(
    db: &Database,
    month: Month,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<bool, DatabaseError> {
    let zone = zone.clone();
    db.write(move |connection| {
        Box::pin(async move {
            let name = month.to_string();
            let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM statement WHERE month >= ?)")
                .bind(&name)
                .fetch_one(&mut *connection)
                .await?;
            if exists {
                return Ok(false);
            }
            write_lines(connection, month).await?;
            write_seats(connection, month, &zone).await?;
            sqlx::query("INSERT INTO statement (month, zone, first_day, last_day, frozen_at) VALUES (?, ?, ?, ?, ?)")
                .bind(&name)
                .bind(zone.iana_name().unwrap_or("UTC"))
                .bind(day_number(month.first_day()))
                .bind(day_number(month.last_day()))
                .bind(now.as_millisecond())
                .execute(connection)
                .await?;
            Ok(true)
        })
    })
    .await
}

/// Writes the usage of the month, and by how much the ledger now differs from what was stated of
/// former months.
async fn write_lines(connection: &mut SqliteConnection, month: Month) -> Result<(), DatabaseError> {
    let oldest = month.first_day().checked_sub(CORRECTED_MONTHS.months()).map_or(month, Month::from_day);
    sqlx::query(
        "INSERT INTO statement_line (
             month, period, user_id, model, purpose, billed, requests, prompt_tokens, completion_tokens, total_tokens,
             cost_nano_usd, own_key_cost_nano_usd, price_nano_usd, unknown_cost
         )
         SELECT ?1, period, user_id, model, purpose, billed, sum(requests) AS requests,
             sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
             sum(total_tokens) AS total_tokens, sum(cost) AS cost, sum(own_key_cost) AS own_key_cost, sum(price) AS price,
             sum(unknown) AS unknown
         FROM (
             SELECT stated.month AS period, now.user_id, now.model, now.purpose, now.billed, now.requests,
                 now.prompt_tokens, now.completion_tokens, now.total_tokens, now.cost_nano_usd AS cost,
                 now.own_key_cost_nano_usd AS own_key_cost, now.price_nano_usd AS price,
                 now.unknown_cost AS unknown
             FROM (
                 SELECT month, first_day, last_day FROM statement WHERE month >= ?4
                 UNION ALL SELECT ?1, ?2, ?3
             ) AS stated
             JOIN usage_rollup AS now ON now.span = 'day' AND now.start BETWEEN stated.first_day AND stated.last_day
             UNION ALL
             SELECT period, user_id, model, purpose, billed, -requests, -prompt_tokens, -completion_tokens, -total_tokens,
                 -cost_nano_usd, -own_key_cost_nano_usd, -price_nano_usd, -unknown_cost
             FROM statement_line WHERE period >= ?4
         )
         GROUP BY period, user_id, model, purpose, billed
         HAVING sum(requests) <> 0 OR sum(prompt_tokens) <> 0 OR sum(completion_tokens) <> 0 OR sum(total_tokens) <> 0
             OR sum(cost) <> 0 OR sum(own_key_cost) <> 0 OR sum(price) <> 0 OR sum(unknown) <> 0",
    )
    .bind(month.to_string())
    .bind(day_number(month.first_day()))
    .bind(day_number(month.last_day()))
    .bind(oldest.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes who asked a model or signed in on which day.
async fn write_seats(connection: &mut SqliteConnection, month: Month, zone: &TimeZone) -> Result<(), DatabaseError> {
    let midnight = |day: Date| zone.to_zoned(day.at(0, 0, 0, 0)).map_or(0, |at| at.timestamp().as_millisecond());
    let days: Vec<[i64; 3]> =
        month.days().map(|day| [day_number(day), midnight(day), midnight(day.tomorrow().unwrap_or(day))]).collect();
    let days = serde_json::to_string(&days).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO statement_seat (month, day, user_id)
         SELECT ?1, start, user_id FROM usage_rollup
             WHERE span = 'day' AND start BETWEEN ?2 AND ?3 AND requests > 0
         UNION
         SELECT ?1, day.value ->> 0, audit.user_id FROM json_each(?4) AS day
             JOIN audit ON audit.last_at >= (day.value ->> 1) AND audit.last_at < (day.value ->> 2)
             WHERE audit.action IN (?5, ?6) AND audit.user_id IS NOT NULL",
    )
    .bind(month.to_string())
    .bind(day_number(month.first_day()))
    .bind(day_number(month.last_day()))
    .bind(days)
    .bind(Action::SignedIn.as_str())
    .bind(Action::AccountRegistered.as_str())
    .execute(connection)
    .await?;
    Ok(())
}
