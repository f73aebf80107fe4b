//! The newest generations, without their content.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::report::UsageReports;
use crate::database::DatabaseError;
use crate::user::UserId;
use mai_openrouter::NanoUsd;

/// Calls on a page.
const PER_PAGE: usize = 50;
/// Text that comes after each id.
const AFTER_ALL: &str = "~";

/// A generation, as people see it in a list. What is not known is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its id, by which newer ones come later.
    pub id: String,
    /// The time at which it was asked for.
    #[serde(serialize_with = "seconds")]
    pub timestamp: Timestamp,
    /// The id of the person who asked.
    pub user_id: UserId,
    /// Their name; empty when it is not kept any more.
    pub name: String,
    /// The model that answered, or else the one that was asked.
    pub model: String,
    /// The way it ended; `pending` while it runs.
    pub status: String,
    /// True where it corrects another one.
    pub is_correction: bool,
    /// Tokens of question and answer.
    pub total_tokens: Option<u64>,
    /// The amount that the client is billed.
    #[serde(rename = "cost_nano_usd")]
    pub price: Option<NanoUsd>,
}

/// Calls, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CallsPage {
    /// The calls.
    pub calls: Vec<Call>,
    /// The id before which the next page begins, if there is one.
    pub next_before: Option<String>,
}

fn seconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(at.as_second())
}

impl Call {
    fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let at = Timestamp::from_millisecond(row.try_get("started_at")?);
        let both = || {
            let count = |name| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.map(i64::unsigned_abs));
            Ok::<_, sqlx::Error>(match (count("prompt_tokens")?, count("completion_tokens")?) {
                (Some(question), Some(answer)) => question.checked_add(answer),
                _ => None,
            })
        };
        let total_tokens = row.try_get::<Option<i64>, _>("total_tokens")?.map(i64::unsigned_abs);
        Ok(Self {
            id: row.try_get("id")?,
            timestamp: at.map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            user_id: row.try_get::<String, _>("user_id")?.into(),
            name: row.try_get("name")?,
            model: row.try_get("model")?,
            status: row.try_get("status")?,
            is_correction: row.try_get("is_correction")?,
            total_tokens: if total_tokens.is_some() { total_tokens } else { both()? },
            price: row.try_get::<Option<i64>, _>("price_nano_usd")?.map(NanoUsd::new),
        })
    }
}

impl UsageReports {
    /// Returns the newest calls of everybody, or those before a certain one.
    pub async fn calls(&self, before: Option<&str>) -> Result<CallsPage, DatabaseError> {
        let mut calls = self.newest_calls(before, PER_PAGE + 1).await?;
        let has_more = calls.len() > PER_PAGE;
        calls.truncate(PER_PAGE);
        let next_before = calls.last().filter(|_| has_more).map(|call| call.id.clone());
        Ok(CallsPage { calls, next_before })
    }

    /// Returns so many of the newest calls of everybody, before a certain one.
    pub async fn newest_calls(&self, before: Option<&str>, most: usize) -> Result<Vec<Call>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT g.id, g.started_at, g.user_id, coalesce(user.name, '') AS name,
                 coalesce(g.answered_model, g.model) AS model, g.status, g.corrects IS NOT NULL AS is_correction,
                 g.prompt_tokens, g.completion_tokens, g.total_tokens, g.price_nano_usd
             FROM generation AS g LEFT JOIN user ON user.id = g.user_id
             WHERE g.id < ?1 ORDER BY g.id DESC LIMIT ?2",
        )
        .bind(before.unwrap_or(AFTER_ALL))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(self.db.reader())
        .await?;
        Ok(rows.iter().map(Call::read).collect::<Result<_, _>>()?)
    }
}
