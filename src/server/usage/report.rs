//! The usage of a month: in total, by day, and by person and model. `groups` adds the latter up.

use std::collections::HashMap;
use std::iter::Sum;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use tokio::sync::Semaphore;

use super::groups::{self, Account, ModelUsage, PersonModel, UserUsage};
use super::period::{Month, month_of, number_of};
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

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.prompt_tokens, other.prompt_tokens);
        add(&mut self.completion_tokens, other.completion_tokens);
        add(&mut self.total_tokens, other.total_tokens);
        add(&mut self.unknown_cost, other.unknown_cost);
        add(&mut self.unknown_cost_former_connection, other.unknown_cost_former_connection);
        add(&mut self.running, other.running);
        self.price += other.price;
        self.cost += other.cost;
        self.own_key_cost += other.own_key_cost;
    }
}

impl<'a> Sum<&'a Totals> for Totals {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, totals| {
            sum += totals;
            sum
        })
    }
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
    /// The price of the whole month if it goes on as it began; `None` for another month than the
    /// current one.
    #[serde(rename = "projected_cost_nano_usd")]
    pub projection: Option<NanoUsd>,
}

impl Summary {
    /// Sums up the days of a month.
    pub fn new(month: Month, days: &[DayUsage], now: &Zoned) -> Self {
        let today = now.date();
        let totals: Totals = days.iter().map(|day| &day.totals).sum();
        let begun = month.days_begun(today);
        let is_current = Month::from_day(today) == month;
        Self {
            month,
            totals,
            today: is_current.then(|| days.iter().filter(|day| day.day == today).map(|day| &day.totals).sum()),
            daily_average_cost: totals.price.divided_by(begun),
            daily_average_tokens: totals.total_tokens / u64::from(begun.max(1)),
            projection: is_current.then(|| projection(totals.price, month, now)),
        }
    }
}

/// Returns the price of the whole month if it goes on as it began. The first day counts as a whole
/// one, as its first minutes tell little.
fn projection(price: NanoUsd, month: Month, now: &Zoned) -> NanoUsd {
    let minutes_of_day = i128::from(now.hour()) * 60 + i128::from(now.minute());
    let elapsed = (i128::from(now.day() - 1) * DAY_MINUTES + minutes_of_day).max(DAY_MINUTES);
    let whole = i128::from(month.first_day().days_in_month()) * DAY_MINUTES;
    NanoUsd::new(i64::try_from(i128::from(price.get()) * whole / elapsed).unwrap_or(i64::MAX))
}

const DAY_MINUTES: i128 = 24 * 60;

/// The totals of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DayUsage {
    /// The day.
    pub day: Date,
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
    /// Held while a part of a file of rows is read.
    pub(super) exports: Arc<Semaphore>,
}

impl UsageReports {
    pub(crate) fn new(db: &Database, zone: TimeZone) -> Self {
        Self { db: db.clone(), zone, exports: Arc::new(Semaphore::new(1)) }
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

    /// The time by the client's clocks.
    pub fn now(&self) -> Zoned {
        Timestamp::now().to_zoned(self.zone.clone())
    }

    /// The totals of a month, of everybody or of one user.
    pub async fn summary(&self, month: Month, user: Option<&UserId>) -> Result<Summary, DatabaseError> {
        Ok(Summary::new(month, &self.by_day(month, user).await?, &self.now()))
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

    /// The usage of each person with each model, of everybody or of one user.
    pub async fn groups(&self, month: Month, user: Option<&UserId>) -> Result<Vec<PersonModel>, DatabaseError> {
        let days = Days::of_month(month);
        let rows = sqlx::query(totals!(
            ", n.user_id, n.model FROM usage_numbers AS n
             WHERE n.span = 'day' AND n.start >= ?1 AND n.start < ?2 AND (?3 IS NULL OR n.user_id = ?3)
             GROUP BY n.user_id, n.model"
        ))
        .bind(days.first)
        .bind(days.end)
        .bind(user.map(UserId::as_str))
        .fetch_all(self.db.reader())
        .await?;
        let group = |row: &SqliteRow| {
            Ok::<_, sqlx::Error>(PersonModel {
                user_id: row.try_get::<String, _>("user_id")?.into(),
                model: row.try_get("model")?,
                totals: Totals::read(row)?,
            })
        };
        Ok(rows.iter().map(group).collect::<Result<_, _>>()?)
    }

    /// Everybody who has an account or had one.
    pub async fn accounts(&self) -> Result<Vec<Account>, DatabaseError> {
        let rows = sqlx::query("SELECT id, name, email, deleted_at IS NOT NULL AS removed FROM user")
            .fetch_all(self.db.reader())
            .await?;
        Ok(rows.iter().map(Account::read).collect::<Result<_, _>>()?)
    }

    /// The usage of everybody with an account, and of removed users who had any; highest price
    /// first.
    pub async fn by_user(&self, month: Month) -> Result<Vec<UserUsage>, DatabaseError> {
        Ok(groups::by_user(&self.groups(month, None).await?, &self.accounts().await?))
    }

    /// The usage of each model, of everybody or of one user; highest price first.
    pub async fn by_model(&self, month: Month, user: Option<&UserId>) -> Result<Vec<ModelUsage>, DatabaseError> {
        Ok(groups::by_model(&self.groups(month, user).await?))
    }

    /// The months with usage and the current one, newest first.
    pub async fn months(&self) -> Result<Vec<Month>, DatabaseError> {
        // From each month to the first day with usage after it, by the index.
        let days: Vec<i64> = sqlx::query_scalar(
            "WITH RECURSIVE used (day) AS (
                 SELECT min(start) FROM usage_rollup WHERE span = 'day'
                 UNION ALL
                 SELECT (SELECT min(start) FROM usage_rollup WHERE span = 'day' AND
                     start >= unixepoch(day * 86400, 'unixepoch', 'start of month', '+1 month') / 86400)
                 FROM used WHERE day IS NOT NULL
             ) SELECT day FROM used WHERE day IS NOT NULL",
        )
        .fetch_all(self.db.reader())
        .await?;
        let mut months: Vec<Month> = days.into_iter().filter_map(month_of).chain([self.current_month()]).collect();
        months.sort_unstable_by(|one, other| other.cmp(one));
        months.dedup();
        Ok(months)
    }
}

/// Days by their numbers in the sums, the last one left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    pub(super) first: i64,
    pub(super) end: i64,
}

impl Days {
    pub(super) fn of_month(month: Month) -> Self {
        Self { first: number_of(month.first_day()), end: number_of(month.next().first_day()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn projection_goes_on_as_the_month_began() {
        let month: Month = "2026-11".parse().unwrap();
        for (now, expected) in [
            ("2026-11-01T00:10:00[UTC]", 30_000),
            ("2026-11-01T23:59:00[UTC]", 30_000),
            ("2026-11-16T00:00:00[UTC]", 2_000),
            ("2026-11-30T23:59:00[UTC]", 1_000),
        ] {
            let projection = projection(NanoUsd::new(1_000), month, &now.parse().unwrap());
            assert_eq!(projection, NanoUsd::new(expected), "{now}");
        }
    }
}
