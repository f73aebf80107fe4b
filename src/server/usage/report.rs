//! The usage of a month: in total, by day, by user, by model.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::period::{Month, number_of};
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
    /// The amount that the client is billed, which is its cost to the client: in JSON
    /// `cost_micro_usd`, rounded, and `cost_nano_usd`.
    #[serde(flatten, serialize_with = "cost_fields")]
    pub price: NanoUsd,
    /// The amount that the upstream charges, for the provider alone.
    #[serde(skip)]
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
    /// The month's price over the days that have begun.
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

/// The columns [`Totals`] is read from, over the rows of `usage_numbers` called `n`. A sum that
/// overflows would fail the whole report: money is summed in whole dollars and in what is left of
/// each.
macro_rules! totals {
    ($($rest:literal)*) => {
        concat!(
            "SELECT coalesce(sum(n.requests), 0) AS requests,
             coalesce(sum(n.prompt_tokens), 0) AS prompt_tokens,
             coalesce(sum(n.completion_tokens), 0) AS completion_tokens,
             coalesce(sum(n.total_tokens), 0) AS total_tokens,
             coalesce(sum(n.cost_nano_usd / 1000000000), 0) AS cost, coalesce(sum(n.cost_nano_usd % 1000000000), 0) AS cost_rest,
             coalesce(sum(n.price_nano_usd / 1000000000), 0) AS price,
             coalesce(sum(n.price_nano_usd % 1000000000), 0) AS price_rest,
             coalesce(sum(n.own_key_cost_nano_usd / 1000000000), 0) AS own_key_cost,
             coalesce(sum(n.own_key_cost_nano_usd % 1000000000), 0) AS own_key_cost_rest,
             coalesce(sum(n.unknown_cost), 0) AS unknown_cost,
             coalesce(sum(n.unknown_cost_former_connection), 0) AS unknown_cost_former_connection,
             coalesce(sum(n.running), 0) AS running ",
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
            price: summed_cost(row, "price", "price_rest")?,
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

/// Reads the sums of the ledger. Days and months are divided by the midnights of a time zone.
#[derive(Debug, Clone)]
pub struct UsageReports {
    pub(super) db: Database,
    pub(super) zone: TimeZone,
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
        let totals = self.sums(Days::of_month(month), user).await?;
        let today_totals =
            if Month::from_day(today) == month { Some(self.sums(Days::single(today), user).await?) } else { None };
        let days = month.days_begun(today);
        Ok(Summary {
            month,
            totals,
            today: today_totals,
            daily_average_cost: totals.price.divided_by(days),
            daily_average_tokens: totals.total_tokens / u64::from(days.max(1)),
        })
    }

    async fn sums(&self, days: Days, user: Option<&UserId>) -> Result<Totals, DatabaseError> {
        let row = sqlx::query(totals!(
            "FROM usage_numbers AS n WHERE n.span = 'day' AND n.start >= ?1 AND n.start < ?2 AND (?3 IS NULL OR n.user_id = ?3)"
        ))
        .bind(days.first)
        .bind(days.end)
        .bind(user.map(UserId::as_str))
        .fetch_one(self.db.reader())
        .await?;
        Ok(Totals::read(&row)?)
    }

    /// Every day of a month, of everybody or of one user, days without usage included.
    pub async fn by_day(&self, month: Month, user: Option<&UserId>) -> Result<Vec<DayUsage>, DatabaseError> {
        let days = Days::of_month(month);
        let rows = sqlx::query(totals!(
            ", n.start FROM usage_numbers AS n
             WHERE n.span = 'day' AND n.start >= ?1 AND n.start < ?2 AND (?3 IS NULL OR n.user_id = ?3) GROUP BY n.start"
        ))
        .bind(days.first)
        .bind(days.end)
        .bind(user.map(UserId::as_str))
        .fetch_all(self.db.reader())
        .await?;
        let used: HashMap<i64, Totals> = rows
            .iter()
            .map(|row| Ok((row.try_get("start")?, Totals::read(row)?)))
            .collect::<Result<_, sqlx::Error>>()?;
        let usage = |day| DayUsage { day, totals: used.get(&number_of(day)).copied().unwrap_or_default() };
        Ok(month.days().map(usage).collect())
    }

    /// The usage of everybody with an account, and of removed users who had any; highest price
    /// first.
    pub async fn by_user(&self, month: Month) -> Result<Vec<UserUsage>, DatabaseError> {
        let days = Days::of_month(month);
        let rows = sqlx::query(totals!(
            ", people.id AS user_id, coalesce(user.name, '') AS name, coalesce(user.email, '') AS email,
             user.id IS NULL OR user.deleted_at IS NOT NULL AS removed
             FROM (SELECT id FROM user WHERE deleted_at IS NULL
                   UNION SELECT user_id FROM usage_numbers WHERE span = 'day' AND start >= ?1 AND start < ?2) AS people
             LEFT JOIN user ON user.id = people.id
             LEFT JOIN usage_numbers AS n ON n.user_id = people.id AND n.span = 'day' AND n.start >= ?1 AND n.start < ?2
             GROUP BY people.id ORDER BY total(n.price_nano_usd) DESC, total_tokens DESC, name COLLATE NOCASE, people.id"
        ))
        .bind(days.first)
        .bind(days.end)
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

    /// The usage of each model, of everybody or of one user; highest price first.
    pub async fn by_model(&self, month: Month, user: Option<&UserId>) -> Result<Vec<ModelUsage>, DatabaseError> {
        let days = Days::of_month(month);
        let rows = sqlx::query(totals!(
            ", n.model FROM usage_numbers AS n
             WHERE n.span = 'day' AND n.start >= ?1 AND n.start < ?2 AND (?3 IS NULL OR n.user_id = ?3)
             GROUP BY n.model ORDER BY total(n.price_nano_usd) DESC, total_tokens DESC, n.model"
        ))
        .bind(days.first)
        .bind(days.end)
        .bind(user.map(UserId::as_str))
        .fetch_all(self.db.reader())
        .await?;
        rows.iter().map(|row| Ok(ModelUsage { model: row.try_get("model")?, totals: Totals::read(row)? })).collect()
    }
}

/// Days by their numbers in the sums, the last one left out.
#[derive(Debug, Clone, Copy)]
struct Days {
    first: i64,
    end: i64,
}

impl Days {
    fn of_month(month: Month) -> Self {
        Self { first: number_of(month.first_day()), end: number_of(month.next().first_day()) }
    }

    fn single(day: Date) -> Self {
        Self { first: number_of(day), end: number_of(day) + 1 }
    }
}
