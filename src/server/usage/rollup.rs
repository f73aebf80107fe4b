//! The sums of generations by hour and by day. Triggers of the database keep them; here they are
//! rebuilt for another time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::SqliteConnection;

use crate::database::{Database, DatabaseError};

/// Makes the sums for this time zone, unless they were made for it. After the first start of a
/// version with sums, and after a change of the zone, that takes some seconds for a million rows.
pub(crate) async fn prepare(db: &Database, name: &str, zone: &TimeZone) -> Result<(), DatabaseError> {
    let known: Option<String> = sqlx::query_scalar("SELECT name FROM usage_zone").fetch_optional(db.reader()).await?;
    if known.as_deref() == Some(name) {
        return Ok(());
    }
    let (name, zone) = (name.to_owned(), zone.clone());
    db.write(move |connection| Box::pin(async move { rebuild(connection, &name, &zone).await })).await
}

async fn rebuild(connection: &mut SqliteConnection, name: &str, zone: &TimeZone) -> Result<(), DatabaseError> {
    let (first, last): (Option<i64>, Option<i64>) =
        sqlx::query_as("SELECT min(started_at), max(started_at) FROM generation").fetch_one(&mut *connection).await?;
    if let (Some(first), Some(last)) = (first, last) {
        for (from, until, offset) in offsets(zone, first, last) {
            sqlx::query(
                "UPDATE generation SET utc_offset = ?1 WHERE started_at >= ?2 AND started_at < ?3 AND utc_offset <> ?1",
            )
            .bind(offset)
            .bind(from)
            .bind(until)
            .execute(&mut *connection)
            .await?;
        }
    }
    sqlx::query("DELETE FROM usage_rollup").execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO usage_rollup
         SELECT span, start, user_id, api_key_id, model, purpose, billed, sum(requests), sum(prompt_tokens), sum(completion_tokens),
             sum(total_tokens), sum(reasoning_tokens), sum(cached_tokens), sum(cache_write_tokens), sum(web_searches),
             sum(cost_nano_usd), sum(own_key_cost_nano_usd), sum(price_nano_usd), sum(unknown_cost),
             sum(unknown_cost_former_connection)
         FROM generation_numbers WHERE id NOT IN (SELECT id FROM generation WHERE status = 'pending')
         GROUP BY span, start, user_id, api_key_id, model, purpose, billed",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("INSERT INTO usage_zone (only_row, name) VALUES (1, ?) ON CONFLICT DO UPDATE SET name = excluded.name")
        .bind(name)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns the offset that clocks are at when it is this moment, in seconds east of Greenwich.
pub(super) fn utc_offset(zone: &TimeZone, moment: Timestamp) -> i32 {
    zone.to_offset(moment).seconds()
}

/// Returns the offsets from one moment to another, both in milliseconds and included, each with the
/// span that it counts for.
fn offsets(zone: &TimeZone, first: i64, last: i64) -> Vec<(i64, i64, i32)> {
    let Ok(start) = Timestamp::from_millisecond(first) else { return Vec::new() };
    let mut spans = vec![(first, i64::MAX, utc_offset(zone, start))];
    for transition in zone.following(start) {
        let at = transition.timestamp().as_millisecond();
        if at > last {
            break;
        }
        if let Some(former) = spans.last_mut() {
            former.1 = at;
        }
        spans.push((at, i64::MAX, transition.offset().seconds()));
    }
    spans
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn offsets_follow_the_clocks() {
        let warsaw = TimeZone::get("Europe/Warsaw").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let (summer, winter) = (at("2026-03-29T01:00:00Z"), at("2026-10-25T01:00:00Z"));
        let first = at("2026-01-01T00:00:00Z");
        assert_eq!(
            offsets(&warsaw, first, at("2026-12-01T00:00:00Z")),
            [(first, summer, 3600), (summer, winter, 7200), (winter, i64::MAX, 3600)]
        );
        assert_eq!(offsets(&TimeZone::UTC, 5, 5), [(5, i64::MAX, 0)]);
    }
}
