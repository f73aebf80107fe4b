//! The counts of this instance, which the reconciler reads: see [`Counts`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use mai_contract::{Counts, MonthCounts};
use tokio::sync::Mutex;

use super::chat;
use super::connection::KeyMonitor;
use super::database::{Database, DatabaseError};
use super::usage::UsageReports;
use super::users;

/// Time for which an answer is given again, so that counting is bounded however often it is asked for.
const REUSE: Duration = Duration::from_secs(1);

/// Counts what the reconciler may know. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct InstanceCounts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: Database,
    reports: UsageReports,
    key: KeyMonitor,
    max_accounts: u32,
    /// Locked while counting, so that many requests at once count once.
    last: Mutex<Option<(Instant, Counts)>>,
}

impl InstanceCounts {
    pub(crate) fn new(db: &Database, reports: &UsageReports, key: KeyMonitor, max_accounts: u32) -> Self {
        let (db, reports, last) = (db.clone(), reports.clone(), Mutex::default());
        Self(Arc::new(Shared { db, reports, key, max_accounts, last }))
    }

    /// Returns the counts of now.
    pub async fn read(&self) -> Result<Counts, DatabaseError> {
        let mut last = self.0.last.lock().await;
        if let Some((_, counts)) = last.as_ref().filter(|(at, _)| at.elapsed() < REUSE) {
            return Ok(counts.clone());
        }
        let counts = self.0.count().await?;
        *last = Some((Instant::now(), counts.clone()));
        Ok(counts)
    }
}

impl Shared {
    async fn count(&self) -> Result<Counts, DatabaseError> {
        self.reports.catch_up().await;
        let month = self.reports.current_month();
        let billed = self.reports.billed(month).await?;
        let active = self.reports.active_people().await?;
        Ok(Counts {
            version: Counts::VERSION,
            accounts: users::count(&self.db).await?.unsigned_abs(),
            max_accounts: u64::from(self.max_accounts),
            active_today: active.today,
            active_30_days: active.last_30_days,
            chats: chat::count(&self.db).await?,
            month: MonthCounts {
                month: month.to_string(),
                requests: billed.requests,
                cost_nano_usd: billed.cost.get(),
                price_nano_usd: Some(billed.price.get()),
                unknown_costs: billed.unknown_cost,
            },
            key: self.key.counts().await,
        })
    }
}
