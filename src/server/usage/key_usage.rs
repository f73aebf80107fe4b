//! The usage of API keys.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::Row;

use super::report::{UsageReports, summed_cost};
use crate::database::DatabaseError;
use crate::user::UserId;
use mai_openrouter::NanoUsd;

/// The usage of a key since it was made. An unknown cost is counted, not added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KeyUsage {
    /// The number of generations requested, however they ended.
    pub requests: u64,
    /// The tokens of questions and answers.
    pub total_tokens: u64,
    /// The amount that the client is billed.
    #[serde(rename = "cost_nano_usd")]
    pub cost: NanoUsd,
    /// The number of ended generations whose cost is not known (yet).
    pub unknown_cost: u64,
}

impl UsageReports {
    /// Returns the usage of each key of a user, by the id of the key.
    pub async fn by_key(&self, user: &UserId) -> Result<HashMap<String, KeyUsage>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT api_key.id AS key_id, coalesce(sum(n.requests), 0) AS requests,
                    coalesce(sum(n.total_tokens), 0) AS total_tokens,
                    coalesce(sum(n.price_nano_usd / 1000000000), 0) AS cost,
                    coalesce(sum(n.price_nano_usd % 1000000000), 0) AS cost_rest,
                    coalesce(sum(n.unknown_cost), 0) AS unknown_cost
             FROM api_key JOIN usage_numbers AS n ON n.api_key_id = api_key.id AND n.api_key_id <> '' AND n.span = 'day'
             WHERE api_key.user_id = ? GROUP BY api_key.id",
        )
        .bind(user.as_str())
        .fetch_all(self.db.reader())
        .await?;
        let usage: Result<_, sqlx::Error> = rows
            .iter()
            .map(|row| {
                let count = |name| Ok::<u64, sqlx::Error>(row.try_get::<i64, _>(name)?.unsigned_abs());
                let usage = KeyUsage {
                    requests: count("requests")?,
                    total_tokens: count("total_tokens")?,
                    cost: summed_cost(row, "cost", "cost_rest")?,
                    unknown_cost: count("unknown_cost")?,
                };
                Ok((row.try_get("key_id")?, usage))
            })
            .collect();
        Ok(usage?)
    }
}
