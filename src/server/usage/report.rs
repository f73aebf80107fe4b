//! The usage of a month: in total, by day, by user, by model.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::period::{Month, midnight};
use crate::database::{Database, DatabaseError};
use crate::user::UserId;
use mai_openrouter::NanoUsd;

/// Totals over some generations. Unknown costs are counted, not added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// The number of generations requested, however they ended.
    pub requests: u64,
    /// Tokens of the questions.
    pub prompt_tokens: u64,
    /// Tokens of the answers.
    pub completion_tokens: u64,
    /// Both together.
    pub total_tokens: u64,
    /// The known cost, in JSON as `cost_micro_usd`, rounded, and as `cost_nano_usd`.
    #[serde(flatten, serialize_with = "cost_fields")]
    pub cost: NanoUsd,
    /// The providers' own charges to the client's keys with them.
    #[serde(rename = "own_key_cost_nano_usd")]
    pub own_key_cost: NanoUsd,
    /// The number of ended generations whose cost is not known (yet).
    pub unknown_cost: u64,
    /// The number of these that were sent over a connection which is not in use any more. They are
    /// looked up if it returns within a week.
    pub unknown_cost_former_connection: u64,
    /// The number of running generations.
    pub running: u64,
}

/// The totals of a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The month.
    pub month: Month,
    /// Its totals.
    #[serde(flatten)]
    pub totals: Totals,
    /// Today's totals; `None` when today is not in the month.
    pub today: Option<Totals>,
    /// The month's cost over the days that have begun.
    #[serde(rename = "daily_average_cost_micro_usd", serialize_with = "micro_usd")]
    pub daily_average_cost: NanoUsd,
    /// The month's tokens over the days that have begun.
    pub daily_average_tokens: u64,
}

/// The totals of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayUsage {
    /// The day.
    pub day: Date,
    /// Its totals.
    #[serde(flatten)]
    pub totals: Totals,
}

/// The totals of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UserUsage {
    /// Their id.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
    /// Their e-mail.
    pub email: String,
    /// True when their account was removed.
    pub removed: bool,
    /// Their totals.
    #[serde(flatten)]
    pub totals: Totals,
}

/// The totals of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelUsage {
    /// The model requested.
    pub model: String,
    /// Its totals.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Writes a cost in both units. Who wants to add up small costs needs the finer one.
fn cost_fields<S: Serializer>(cost: &NanoUsd, serializer: S) -> Result<S::Ok, S::Error> {
    let mut fields = serializer.serialize_map(Some(2))?;
    fields.serialize_entry("cost_micro_usd", &cost.micro_usd())?;
    fields.serialize_entry("cost_nano_usd", &cost.get())?;
    fields.end()
}

fn micro_usd<S: Serializer>(cost: &NanoUsd, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(cost.micro_usd())
}

/// The columns [`Totals`] is read from, over rows called `g`. A sum that overflows would fail the
/// whole report: costs are summed in whole dollars and in what is left of each, and counts that no
/// answer has, such as of a database that somebody edited, are cut.
macro_rules! totals {
    ($($rest:literal)*) => {
        concat!(
            "SELECT count(g.id) AS requests,
             coalesce(sum(min(g.prompt_tokens, 1000000000)), 0) AS prompt_tokens,
             coalesce(sum(min(g.completion_tokens, 1000000000)), 0) AS completion_tokens,
             coalesce(sum(min(g.total_tokens, 2000000000)), 0) AS total_tokens,
             coalesce(sum(g.cost_nano_usd / 1000000000), 0) AS cost, coalesce(sum(g.cost_nano_usd % 1000000000), 0) AS cost_rest,
             coalesce(sum(g.own_key_cost_nano_usd / 1000000000), 0) AS own_key_cost,
             coalesce(sum(g.own_key_cost_nano_usd % 1000000000), 0) AS own_key_cost_rest,
             count(CASE WHEN g.cost_nano_usd IS NULL AND g.status <> 'pending' THEN 1 END) AS unknown_cost,
             count(CASE WHEN g.cost_nano_usd IS NULL AND g.unknown_reason = 'connection_changed' THEN 1 END)
                 AS unknown_cost_former_connection,
             count(CASE WHEN g.status = 'pending' THEN 1 END) AS running ",
            $($rest),*
        )
    };
}

/// Returns a cost that was summed in dollars and in what is left of each.
pub(super) fn summed_cost(row: &SqliteRow, dollars: &str, rest: &str) -> Result<NanoUsd, sqlx::Error> {
    let dollars = row.try_get::<i64, _>(dollars)?.saturating_mul(1_000_000_000);
    Ok(NanoUsd::new(dollars.saturating_add(row.try_get(rest)?)))
}

impl Totals {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let count = |name| Ok::<u64, sqlx::Error>(row.try_get::<i64, _>(name)?.unsigned_abs());
        Ok(Self {
            requests: count("requests")?,
            prompt_tokens: count("prompt_tokens")?,
            completion_tokens: count("completion_tokens")?,
            total_tokens: count("total_tokens")?,
            cost: summed_cost(row, "cost", "cost_rest")?,
            own_key_cost: summed_cost(row, "own_key_cost", "own_key_cost_rest")?,
            unknown_cost: count("unknown_cost")?,
            unknown_cost_former_connection: count("unknown_cost_former_connection")?,
            running: count("running")?,
        })
    }
}

/// Longest wait for the rows that are still queued.
const LONGEST_CATCH_UP: Duration = Duration::from_secs(1);

/// Reads the ledger's rows. Days and months are divided by the midnights of a time zone.
#[derive(Debug, Clone)]
pub struct UsageReports {
    pub(super) db: Database,
    zone: TimeZone,
}

impl UsageReports {
    pub(crate) fn new(db: &Database, zone: TimeZone) -> Self {
        Self { db: db.clone(), zone }
    }

    /// Waits until the rows that were queued before are written, so that whoever asks after an answer
    /// finds it counted. While the database is busy for long, what is there is reported.
    pub async fn catch_up(&self) {
        if tokio::time::timeout(LONGEST_CATCH_UP, self.db.flush()).await.is_err() {
            tracing::warn!("usage is reported without its newest rows: the database is busy");
        }
    }

    /// The current month of this client.
    pub fn current_month(&self) -> Month {
        Month::current(&self.zone)
    }

    /// The totals of a month, of everybody or of one user.
    pub async fn summary(&self, month: Month, user: Option<&UserId>) -> Result<Summary, DatabaseError> {
        let today = Timestamp::now().to_zoned(self.zone.clone()).date();
        let totals = self.sums(month.span(&self.zone), user).await?;
        let today_totals = if Month::from_day(today) == month {
            let tomorrow = today.tomorrow().unwrap_or(today);
            Some(self.sums((midnight(today, &self.zone), midnight(tomorrow, &self.zone)), user).await?)
        } else {
            None
        };
        let days = month.days_begun(today);
        Ok(Summary {
            month,
            totals,
            today: today_totals,
            daily_average_cost: totals.cost.divided_by(days),
            daily_average_tokens: totals.total_tokens / u64::from(days.max(1)),
        })
    }

    async fn sums(&self, (from, to): (i64, i64), user: Option<&UserId>) -> Result<Totals, DatabaseError> {
        let row = sqlx::query(totals!(
            "FROM generation AS g WHERE g.started_at >= ?1 AND g.started_at < ?2 AND (?3 IS NULL OR g.user_id = ?3)"
        ))
        .bind(from)
        .bind(to)
        .bind(user.map(UserId::as_str))
        .fetch_one(self.db.reader())
        .await?;
        Ok(Totals::read(&row)?)
    }

    /// Every day of a month, of everybody or of one user, days without usage included.
    pub async fn by_day(&self, month: Month, user: Option<&UserId>) -> Result<Vec<DayUsage>, DatabaseError> {
        let days: Vec<Date> = month.days().collect();
        let borders: Vec<(i64, i64)> = days
            .iter()
            .map(|day| (midnight(*day, &self.zone), midnight(day.tomorrow().unwrap_or(*day), &self.zone)))
            .collect();
        let borders = serde_json::to_string(&borders).map_err(|error| sqlx::Error::Encode(error.into()))?;
        let rows = sqlx::query(totals!(
            "FROM json_each(?1) AS day LEFT JOIN generation AS g
             ON g.started_at >= (day.value ->> 0) AND g.started_at < (day.value ->> 1) AND (?2 IS NULL OR g.user_id = ?2)
             GROUP BY day.key ORDER BY day.key"
        ))
        .bind(borders)
        .bind(user.map(UserId::as_str))
        .fetch_all(self.db.reader())
        .await?;
        days.into_iter().zip(&rows).map(|(day, row)| Ok(DayUsage { day, totals: Totals::read(row)? })).collect()
    }

    /// The usage of everybody with an account, and of removed users who had any; highest cost
    /// first.
    pub async fn by_user(&self, month: Month) -> Result<Vec<UserUsage>, DatabaseError> {
        let (from, to) = month.span(&self.zone);
        let rows = sqlx::query(totals!(
            ", people.id AS user_id, coalesce(user.name, '') AS name, coalesce(user.email, '') AS email,
             user.id IS NULL OR user.deleted_at IS NOT NULL AS removed
             FROM (SELECT id FROM user WHERE deleted_at IS NULL
                   UNION SELECT user_id FROM generation WHERE started_at >= ?1 AND started_at < ?2) AS people
             LEFT JOIN user ON user.id = people.id
             LEFT JOIN generation AS g ON g.user_id = people.id AND g.started_at >= ?1 AND g.started_at < ?2
             GROUP BY people.id ORDER BY total(g.cost_nano_usd) DESC, total_tokens DESC, name COLLATE NOCASE, people.id"
        ))
        .bind(from)
        .bind(to)
        .fetch_all(self.db.reader())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(UserUsage {
                    user_id: row.try_get::<String, _>("user_id")?.into(),
                    name: row.try_get("name")?,
                    email: row.try_get("email")?,
                    removed: row.try_get("removed")?,
                    totals: Totals::read(row)?,
                })
            })
            .collect()
    }

    /// The usage of each model, of everybody or of one user; highest cost first.
    pub async fn by_model(&self, month: Month, user: Option<&UserId>) -> Result<Vec<ModelUsage>, DatabaseError> {
        let (from, to) = month.span(&self.zone);
        let rows = sqlx::query(totals!(
            ", g.model FROM generation AS g
             WHERE g.started_at >= ?1 AND g.started_at < ?2 AND (?3 IS NULL OR g.user_id = ?3)
             GROUP BY g.model ORDER BY total(g.cost_nano_usd) DESC, total_tokens DESC, g.model"
        ))
        .bind(from)
        .bind(to)
        .bind(user.map(UserId::as_str))
        .fetch_all(self.db.reader())
        .await?;
        rows.iter().map(|row| Ok(ModelUsage { model: row.try_get("model")?, totals: Totals::read(row)? })).collect()
    }
}
