//! The usage that concerns the provider: how many people ask, and what of a month is billed.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use mai_contract::{BilledDay, BilledDays};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::period::Month;
use super::report::{Days, UsageReports, summed_cost};
use crate::database::DatabaseError;
use mai_openrouter::NanoUsd;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// People who asked a model, in the pages or with a key. Who was removed since counts as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivePeople {
    /// Since midnight.
    pub today: u64,
    /// In the last 30 days.
    pub last_30_days: u64,
}

/// A month as it is billed: without what went over a connection that the client pays itself. Only the
/// number of requests has all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BilledMonth {
    /// The number of generations requested, however they ended.
    pub requests: u64,
    /// The amount that the upstream charges.
    pub cost: NanoUsd,
    /// The amount that the client is billed.
    pub price: NanoUsd,
    /// The number of ended generations whose cost is not known (yet).
    pub unknown_cost: u64,
}

impl UsageReports {
    /// Counts the people who asked a model. Of each person the newest row alone is read.
    pub async fn active_people(&self) -> Result<ActivePeople, DatabaseError> {
        let now = Timestamp::now();
        let midnight = now.to_zoned(self.zone.clone()).start_of_day().map_or(now, |day| day.timestamp());
        let row = sqlx::query(
            "SELECT count(CASE WHEN newest >= ?1 THEN 1 END) AS today,
                    count(CASE WHEN newest >= ?2 THEN 1 END) AS last_30_days
             FROM (SELECT (SELECT max(started_at) FROM generation WHERE user_id = user.id) AS newest FROM user)",
        )
        .bind(midnight.as_millisecond())
        .bind((now - SignedDuration::from_hours(30 * 24)).as_millisecond())
        .fetch_one(self.db.reader())
        .await?;
        let count = |name| Ok::<u64, sqlx::Error>(row.try_get::<i64, _>(name)?.unsigned_abs());
        Ok(ActivePeople { today: count("today")?, last_30_days: count("last_30_days")? })
    }

    /// Returns the cost of each day (UTC) of which the upstream may have a bill, by the model that
    /// answered. The rows are read, since sums are by the client's clocks and by the model that was asked.
    pub async fn billed_days(&self) -> Result<BilledDays, DatabaseError> {
        let today = Timestamp::now().as_millisecond().div_euclid(DAY);
        let rows = sqlx::query(
            "SELECT started_at / ?1 AS day, coalesce(answered_model, model) AS answered, count(*) AS requests,
                 sum(cost_nano_usd / 1000000000) AS cost, sum(cost_nano_usd % 1000000000) AS cost_rest
             FROM generation WHERE started_at >= ?2 AND started_at < ?3 AND billed AND cost_nano_usd <> 0
             GROUP BY day, answered ORDER BY cost DESC, cost_rest DESC LIMIT ?4",
        )
        .bind(DAY)
        .bind((today - i64::from(BilledDays::COMPLETED)) * DAY)
        .bind((today + 1) * DAY)
        .bind(i64::try_from(BilledDays::MOST).unwrap_or(i64::MAX))
        .fetch_all(self.db.reader())
        .await?;
        let billed = |row: &SqliteRow| {
            let start = Timestamp::from_millisecond(row.try_get::<i64, _>("day")?.saturating_mul(DAY));
            Ok(BilledDay {
                day: start.unwrap_or_default().to_zoned(TimeZone::UTC).date(),
                model: row.try_get("answered")?,
                requests: row.try_get::<i64, _>("requests")?.unsigned_abs(),
                cost_nano_usd: summed_cost(row, "cost", "cost_rest")?.get(),
            })
        };
        Ok(BilledDays { days: rows.iter().map(billed).collect::<Result<_, sqlx::Error>>()? })
    }

    /// Returns a month as it is billed.
    pub async fn billed(&self, month: Month) -> Result<BilledMonth, DatabaseError> {
        let days = Days::of_month(month);
        let row = sqlx::query(
            "SELECT coalesce(sum(n.requests), 0) AS requests,
                 coalesce(sum(n.cost_nano_usd / 1000000000) FILTER (WHERE n.billed), 0) AS cost,
                 coalesce(sum(n.cost_nano_usd % 1000000000) FILTER (WHERE n.billed), 0) AS cost_rest,
                 coalesce(sum(n.price_nano_usd / 1000000000) FILTER (WHERE n.billed), 0) AS price,
                 coalesce(sum(n.price_nano_usd % 1000000000) FILTER (WHERE n.billed), 0) AS price_rest,
                 coalesce(sum(n.unknown_cost) FILTER (WHERE n.billed), 0) AS unknown_cost
             FROM usage_numbers AS n WHERE n.span = 'day' AND n.start >= ?1 AND n.start < ?2",
        )
        .bind(days.first)
        .bind(days.end)
        .fetch_one(self.db.reader())
        .await?;
        let count = |name| Ok::<u64, sqlx::Error>(row.try_get::<i64, _>(name)?.unsigned_abs());
        Ok(BilledMonth {
            requests: count("requests")?,
            cost: summed_cost(&row, "cost", "cost_rest")?,
            price: summed_cost(&row, "price", "price_rest")?,
            unknown_cost: count("unknown_cost")?,
        })
    }
}
