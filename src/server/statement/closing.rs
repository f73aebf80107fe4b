//! The background task that closes months.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::due::due;
use super::freeze::freeze;
use crate::database::{Database, DatabaseError};
use crate::usage::Month;

/// Interval between two looks at the clock, which may be set, or stand still with its machine.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The task.
pub(crate) struct StatementCloser {
    pub(crate) db: Database,
    pub(crate) zone: TimeZone,
}

impl StatementCloser {
    /// Runs until `closing` is cancelled.
    pub(crate) async fn run(self, closing: CancellationToken) {
        closing.run_until_cancelled(self.close_forever()).await;
    }

    async fn close_forever(&self) {
        loop {
            if let Err(error) = self.close_due().await {
                tracing::error!(%error, "a month could not be closed; trying again");
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Closes what is due.
    async fn close_due(&self) -> Result<(), DatabaseError> {
        let now = Timestamp::now();
        let newest: Option<String> =
            sqlx::query_scalar("SELECT max(month) FROM statement").fetch_one(self.db.reader()).await?;
        let newest: Option<Month> = newest.and_then(|month| month.parse().ok());
        let months = due(self.first_month().await?, newest, now, &self.zone);
        for month in months {
            if freeze(&self.db, month, &self.zone, now).await? {
                tracing::info!(%month, "closed a month; its statement does not change any more");
            }
        }
        Ok(())
    }

    /// Returns the month of the first account, or of the first usage if that is earlier.
    async fn first_month(&self) -> Result<Option<Month>, DatabaseError> {
        let first: Option<i64> = sqlx::query_scalar(
            "SELECT min(at) FROM (SELECT min(started_at) AS at FROM generation UNION ALL SELECT min(created_at) FROM user)",
        )
        .fetch_one(self.db.reader())
        .await?;
        let first = first.and_then(|first| Timestamp::from_millisecond(first).ok());
        Ok(first.map(|first| Month::from_day(first.to_zoned(self.zone.clone()).date())))
    }
}
