//! Reads statements.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use mai_contract::statement::{SeatDay, StatementReport};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::due::closes_at;
use super::freeze::day_of_number;
use super::report::{self, Audience, Frozen, Line, Numbers};
use crate::database::{Database, DatabaseError};
use crate::rates::Rates;
use crate::usage::Month;

/// A statement that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The month is not closed yet.
    #[error("{month} is not closed yet; its statement is made at {at}, a day after its end")]
    NotClosed {
        /// The month.
        month: Month,
        /// Time at which it is closed.
        at: Timestamp,
    },
    /// The month ended before there was anything to state.
    #[error("there is no statement of {0}: nobody had an account then")]
    TooEarly(Month),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// A month without a statement so long after its end is older than the first one.
const CLOSED_BY: SignedDuration = SignedDuration::from_hours(1);

/// Reads the statements that were frozen. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Statements {
    db: Database,
    rates: Rates,
    zone: TimeZone,
}

impl Statements {
    pub(crate) fn new(db: &Database, rates: &Rates, zone: TimeZone) -> Self {
        Self { db: db.clone(), rates: rates.clone(), zone }
    }

    /// The closed months, the newest first.
    pub async fn months(&self) -> Result<Vec<Month>, DatabaseError> {
        let months: Vec<String> =
            sqlx::query_scalar("SELECT month FROM statement ORDER BY month DESC").fetch_all(self.db.reader()).await?;
        Ok(months.iter().filter_map(|month| month.parse().ok()).collect())
    }

    /// The statement of a month, for the provider or for the client.
    pub async fn of(&self, month: Month, audience: Audience) -> Result<StatementReport, StatementError> {
        let row = sqlx::query("SELECT zone, frozen_at FROM statement WHERE month = ?")
            .bind(month.to_string())
            .fetch_optional(self.db.reader())
            .await
            .map_err(DatabaseError::from)?;
        let Some(row) = row else {
            let at = closes_at(month, &self.zone);
            let is_past = at + CLOSED_BY < Timestamp::now();
            return Err(if is_past {
                StatementError::TooEarly(month)
            } else {
                StatementError::NotClosed { month, at }
            });
        };
        let frozen = self.frozen(month, &row).await?;
        Ok(report::report(&frozen, audience))
    }

    async fn frozen(&self, month: Month, row: &SqliteRow) -> Result<Frozen, DatabaseError> {
        let lines = sqlx::query(
            "SELECT line.*, coalesce(user.name, '') AS name, coalesce(user.email, '') AS email
             FROM statement_line AS line LEFT JOIN user ON user.id = line.user_id
             WHERE line.month = ? ORDER BY line.period DESC, line.billed DESC, line.user_id, line.model, line.purpose",
        )
        .bind(month.to_string())
        .fetch_all(self.db.reader())
        .await?;
        let seats: Vec<(i64, String)> =
            sqlx::query_as("SELECT day, user_id FROM statement_seat WHERE month = ? ORDER BY day, user_id")
                .bind(month.to_string())
                .fetch_all(self.db.reader())
                .await?;
        let mut days: Vec<SeatDay> = Vec::new();
        for (number, user_id) in seats {
            let day = day_of_number(number);
            match days.last_mut().filter(|last| last.day == day) {
                Some(last) => last.user_ids.push(user_id),
                None => days.push(SeatDay { day, count: 0, user_ids: vec![user_id] }),
            }
        }
        days.iter_mut().for_each(|day| day.count = day.user_ids.len());
        Ok(Frozen {
            month,
            zone: row.try_get("zone")?,
            frozen_at: Timestamp::from_millisecond(row.try_get("frozen_at")?).unwrap_or_default(),
            rate: self.rates.for_month(month),
            lines: lines.iter().map(line).collect::<Result<_, sqlx::Error>>()?,
            seats: days,
        })
    }
}

fn line(row: &SqliteRow) -> Result<Line, sqlx::Error> {
    Ok(Line {
        period: row.try_get("period")?,
        user_id: row.try_get("user_id")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        model: row.try_get("model")?,
        purpose: row.try_get("purpose")?,
        billed: row.try_get("billed")?,
        numbers: Numbers {
            requests: row.try_get("requests")?,
            prompt_tokens: row.try_get("prompt_tokens")?,
            completion_tokens: row.try_get("completion_tokens")?,
            total_tokens: row.try_get("total_tokens")?,
            unknown_cost: row.try_get("unknown_cost")?,
            cost: row.try_get("cost_nano_usd")?,
            own_key_cost: row.try_get("own_key_cost_nano_usd")?,
            price: row.try_get("price_nano_usd")?,
        },
    })
}
