//! Files for spreadsheets: the rows of a month, and its sums by person and model.

use std::collections::HashMap;

use bytes::Bytes;
use futures::stream::{self, Stream};
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::csv::Csv;
use super::groups::{Account, PersonModel};
use super::period::Month;
use super::report::{Days, UsageReports};
use crate::database::DatabaseError;
use crate::user::UserId;
use mai_openrouter::NanoUsd;

/// Rows that are read at once.
const PART: i64 = 1_000;
const DAY_MS: i64 = 86_400_000;

const ROW_NAMES: [&str; 16] = [
    "time",
    "person",
    "email",
    "model_asked",
    "model_answered",
    "purpose",
    "via",
    "api_key",
    "status",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "price_usd",
    "own_keys_usd",
    "id",
    "corrects",
];
const SUM_NAMES: [&str; 10] = [
    "person",
    "email",
    "model",
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "price_usd",
    "own_keys_usd",
    "unknown_prices",
];

/// The rows (`g`) that come after a moment and an id (?1, ?2) and before a moment (?3), in the days
/// from ?4 to ?5 by the clocks of each. Amounts are cut as in the sums.
macro_rules! rows {
    ($whose:literal) => {
        concat!(
            "SELECT g.id, g.started_at, g.utc_offset, coalesce(user.name, '') AS name, coalesce(user.email, '') AS email,
                 g.user_id, g.model, coalesce(g.answered_model, '') AS answered_model, g.purpose, g.via,
                 coalesce(api_key.name, '') AS key_name, g.status, g.prompt_tokens, g.completion_tokens, g.total_tokens,
                 max(min(g.price_nano_usd, 1000000000000000), -1000000000000000) AS price,
                 max(min(g.own_key_cost_nano_usd, 10000000000000), -10000000000000) AS own_key_cost,
                 coalesce(g.corrects, '') AS corrects
             FROM generation AS g LEFT JOIN user ON user.id = g.user_id LEFT JOIN api_key ON api_key.id = g.api_key_id
             WHERE (g.started_at, g.id) > (?1, ?2) AND g.started_at < ?3
                 AND (g.started_at + g.utc_offset * 1000) / 86400000 >= ?4
                 AND (g.started_at + g.utc_offset * 1000) / 86400000 < ?5 ",
            $whose,
            " ORDER BY g.started_at, g.id LIMIT ?6"
        )
    };
}

/// The rows of a month that are still to be written.
struct Remaining {
    reports: UsageReports,
    days: Days,
    whose: Option<UserId>,
    /// Moment and id of the last row that was written.
    after: (i64, String),
    /// The text that was written and not sent yet.
    csv: Csv,
}

impl UsageReports {
    /// Returns the rows of a month, of everybody or of one person, as a CSV file. It is read part by
    /// part, as it is taken, and one part of all such files at a time.
    pub fn rows_csv(
        &self,
        month: Month,
        whose: Option<UserId>,
    ) -> impl Stream<Item = Result<Bytes, DatabaseError>> + Send + use<> {
        let days = Days::of_month(month);
        // No clock is a day off.
        let after = ((days.first - 1) * DAY_MS, String::new());
        let remaining = Remaining { reports: self.clone(), days, whose, after, csv: Csv::with_names(&ROW_NAMES) };
        stream::try_unfold(Some(remaining), |remaining| async move {
            let Some(mut remaining) = remaining else { return Ok(None) };
            let is_last = remaining.read_part().await?;
            let part = Bytes::from(std::mem::take(&mut remaining.csv).into_text());
            Ok(Some((part, (!is_last).then_some(remaining))))
        })
    }
}

impl Remaining {
    /// Writes the next rows; returns true after the last ones.
    async fn read_part(&mut self) -> Result<bool, DatabaseError> {
        let _turn = self.reports.exports.acquire().await;
        let query = match &self.whose {
            None => sqlx::query(rows!("")),
            Some(_) => sqlx::query(rows!("AND g.user_id = ?7")),
        };
        let query = query
            .bind(self.after.0)
            .bind(&self.after.1)
            .bind((self.days.end + 1) * DAY_MS)
            .bind(self.days.first)
            .bind(self.days.end)
            .bind(PART);
        let query = match &self.whose {
            None => query,
            Some(user) => query.bind(user.as_str()),
        };
        let rows = query.fetch_all(self.reports.db.reader()).await?;
        for row in &rows {
            write_row(&mut self.csv, row)?;
        }
        if let Some(last) = rows.last() {
            self.after = (last.try_get("started_at")?, last.try_get("id")?);
        }
        Ok(i64::try_from(rows.len()).unwrap_or(PART) < PART)
    }
}

fn write_row(csv: &mut Csv, row: &SqliteRow) -> Result<(), sqlx::Error> {
    let name: &str = row.try_get("name")?;
    csv.text(&time(row.try_get("started_at")?, row.try_get("utc_offset")?));
    csv.text(if name.is_empty() { row.try_get("user_id")? } else { name });
    for column in ["email", "model", "answered_model", "purpose", "via", "key_name", "status"] {
        csv.text(row.try_get(column)?);
    }
    for column in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        csv.number(row.try_get::<Option<i64>, _>(column)?);
    }
    for column in ["price", "own_key_cost"] {
        csv.money(row.try_get::<Option<i64>, _>(column)?.map(NanoUsd::new));
    }
    for column in ["id", "corrects"] {
        csv.text(row.try_get(column)?);
    }
    csv.end_line();
    Ok(())
}

/// Returns a moment by the clocks of then, with their offset.
fn time(milliseconds: i64, utc_offset: i32) -> String {
    let zone = Offset::from_seconds(utc_offset).map_or(TimeZone::UTC, TimeZone::fixed);
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_zoned(zone);
    at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Returns the sums of each person with each model as a CSV file.
pub fn sums_csv(groups: &[PersonModel], accounts: &[Account]) -> String {
    let accounts: HashMap<&str, &Account> = accounts.iter().map(|account| (account.id.as_str(), account)).collect();
    let mut csv = Csv::with_names(&SUM_NAMES);
    for PersonModel { user_id, model, totals } in groups {
        let account = accounts.get(user_id.as_str());
        csv.text(account.map_or(user_id.as_str(), |account| &account.name));
        csv.text(account.map_or("", |account| &account.email));
        csv.text(model);
        for number in [totals.requests, totals.prompt_tokens, totals.completion_tokens, totals.total_tokens] {
            csv.number(Some(number));
        }
        csv.money(Some(totals.price));
        csv.money(Some(totals.own_key_cost));
        csv.number(Some(totals.unknown_cost));
        csv.end_line();
    }
    csv.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_by_the_clocks_of_then() {
        assert_eq!(time(1_792_879_200_000, 7_200), "2026-10-25T00:00:00+02:00");
        assert_eq!(time(0, -12_600), "1969-12-31T20:30:00-03:30");
    }
}
