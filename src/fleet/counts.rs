//! Asks each server that is ready for its counts, at an interval.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use jiff::Timestamp;
use mai_contract::{Counts, InternalToken};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::bill::Bill;
use super::billed_account::BilledAccount;
use super::internal_client::{InternalClient, InternalError};
use super::known_counts::{Knowledge, KnownCounts};
use crate::core::InstanceId;
use crate::openrouter::Pool;
use crate::runtime::changes::Changes;

/// Interval between two requests to one server.
const INTERVAL: Duration = Duration::from_secs(120);
/// Longest delay of the first request.
const SOON: Duration = Duration::from_secs(2);
/// Interval between two comparisons of a ledger with the bill of the upstream.
const BILL_INTERVAL: Duration = Duration::from_secs(86_400);
/// Interval after one that could not be made.
const BILL_RETRY: Duration = Duration::from_secs(3600);
/// Interval between two requests to an image that has no counts.
const INTERVAL_WITHOUT: Duration = Duration::from_secs(3600);
/// Intervals after which numbers that only grew are reported again: a status is no time series.
const INTERVALS_OF_A_REPORT: u32 = 5;
/// Requests under way at once: a new leader asks every server.
const CONCURRENCY: usize = 8;

/// Comparisons with bills under way at once. They have permits of their own: an upstream that does not
/// answer must not hold up the counts of others.
const COMPARISONS: usize = 4;

/// Options of the monitor.
#[derive(Clone, Copy, Debug)]
pub struct CountsOptions {
    /// Interval between two requests to one server.
    pub interval: Duration,
    /// Interval between two comparisons of its ledger with the bill of the upstream.
    pub bill_interval: Duration,
}

impl Default for CountsOptions {
    fn default() -> Self {
        Self { interval: INTERVAL, bill_interval: BILL_INTERVAL }
    }
}

/// The counts of every instance that were read last.
#[derive(Debug)]
pub struct CountsMonitor {
    options: CountsOptions,
    /// By uid.
    servers: Mutex<HashMap<String, Server>>,
    permits: Arc<Semaphore>,
    comparisons: Arc<Semaphore>,
    changes: Arc<Changes>,
    pool: Pool,
}

/// A server that is asked.
#[derive(Clone, Debug)]
pub struct CountedServer {
    /// Address at which it is reached.
    pub address: SocketAddr,
    /// Token by which it knows the reconciler.
    pub token: InternalToken,
    /// Limit of a month that its document declares, in USD.
    pub limit_usd: Option<i64>,
    /// The account that has the bill of it, where mai made its key.
    pub account: Option<BilledAccount>,
}

#[derive(Debug, Default)]
struct Server {
    knowledge: Arc<Mutex<Knowledge>>,
    /// The server that is asked now, and the task that does it.
    asked: Option<(CountedServer, AbortOnDropHandle<()>)>,
}

impl CountsMonitor {
    /// Makes a monitor that asks nobody yet.
    pub fn new(options: CountsOptions) -> Arc<Self> {
        let [permits, comparisons] = [CONCURRENCY, COMPARISONS].map(|most| Arc::new(Semaphore::new(most)));
        let (servers, changes, pool) = (Mutex::default(), Arc::default(), Pool::new());
        Arc::new(Self { options, servers, permits, comparisons, changes, pool })
    }

    /// Asks the server of an instance from now on; nobody where there is none. What is known is kept.
    pub fn follow(&self, id: &InstanceId, server: Option<CountedServer>) {
        let mut servers = self.servers.lock();
        let Some(server) = server else {
            if let Some(known) = servers.get_mut(&id.uid) {
                known.asked = None;
            }
            return;
        };
        let known = servers.entry(id.uid.clone()).or_default();
        {
            let mut knowledge = known.knowledge.lock();
            knowledge.limit_usd = server.limit_usd;
            knowledge.account.clone_from(&server.account);
        }
        if known.asked.as_ref().is_some_and(|(asked, _)| asked.is_same(&server)) {
            return;
        }
        let poller = Poller {
            id: id.clone(),
            client: InternalClient::new(server.address, &server.token),
            knowledge: Arc::clone(&known.knowledge),
            permits: Arc::clone(&self.permits),
            comparisons: Arc::clone(&self.comparisons),
            changes: Arc::clone(&self.changes),
            pool: self.pool.clone(),
            options: self.options,
        };
        known.asked = Some((server, AbortOnDropHandle::new(tokio::spawn(poller.run()))));
    }

    /// Removes what is known of an instance.
    pub fn forget(&self, uid: &str) {
        self.servers.lock().remove(uid);
    }

    /// Returns what is to be reported of an instance: it changes seldom.
    pub fn reported(&self, uid: &str) -> Option<KnownCounts> {
        self.servers.lock().get(uid)?.knowledge.lock().reported.clone()
    }

    /// Returns the newest counts of an instance.
    pub fn newest(&self, uid: &str) -> Option<(Counts, Timestamp)> {
        self.servers.lock().get(uid)?.knowledge.lock().newest.counts.clone()
    }

    /// Returns the newest comparison of the ledger of an instance with the bill of the upstream.
    pub fn bill(&self, uid: &str) -> Option<Bill> {
        self.servers.lock().get(uid)?.knowledge.lock().newest.bill.clone()
    }

    /// Returns the instances of which there is something new to report, for one reader.
    pub fn changes(&self) -> BoxStream<'static, InstanceId> {
        Arc::clone(&self.changes).read()
    }
}

impl CountedServer {
    fn is_same(&self, other: &Self) -> bool {
        self.address == other.address && self.token.is_same(&other.token)
    }
}

/// Asks one server, until it is dropped.
struct Poller {
    id: InstanceId,
    client: InternalClient,
    knowledge: Arc<Mutex<Knowledge>>,
    permits: Arc<Semaphore>,
    comparisons: Arc<Semaphore>,
    changes: Arc<Changes>,
    pool: Pool,
    options: CountsOptions,
}

impl Poller {
    async fn run(self) {
        let interval = self.options.interval;
        let mut pause = interval.min(SOON);
        let mut bill_due = Instant::now();
        let mut has_none = false;
        loop {
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.8..1.2))).await;
            let answer = {
                let Ok(_permit) = self.permits.acquire().await else { return };
                self.client.counts().await
            };
            if answer.is_ok() && bill_due <= Instant::now() {
                bill_due = Instant::now() + self.compare_bill().await;
            }
            let instance = self.id.log_name();
            match &answer {
                Err(InternalError::NotServed) if !has_none => {
                    tracing::info!(instance, "its image does not tell how much it is used");
                }
                Err(InternalError::NotServed) | Ok(_) => {}
                Err(error) => tracing::debug!(instance, "its counts could not be read: {error}"),
            }
            has_none = answer == Err(InternalError::NotServed);
            pause = if has_none { interval.max(INTERVAL_WITHOUT) } else { interval };
            let gap = interval.saturating_mul(INTERVALS_OF_A_REPORT);
            let error = answer.as_ref().err().map(ToString::to_string);
            let news = self.knowledge.lock().record(answer.ok(), Timestamp::now(), gap);
            match (news.begins_to_fail, &error) {
                (true, Some(error)) if !has_none => {
                    tracing::warn!(instance, "its counts are not known, the last ones stay: {error}");
                }
                _ => {}
            }
            if news.is_to_report {
                self.changes.name(&self.id);
            }
        }
    }

    /// Compares the ledger with the bill of the upstream, if there is one. Returns the time until the next
    /// comparison.
    async fn compare_bill(&self) -> Duration {
        let Some(account) = self.knowledge.lock().account.clone() else { return Duration::ZERO };
        // It is never closed.
        let _permit = self.comparisons.acquire().await.ok();
        match account.compare(&self.pool, &self.client).await {
            Ok(bill) => {
                self.knowledge.lock().newest.bill = bill;
                self.options.bill_interval
            }
            Err(error) => {
                tracing::warn!(
                    instance = self.id.log_name(),
                    "its ledger could not be compared with the bill of the upstream: {error}"
                );
                self.options.bill_interval.min(BILL_RETRY)
            }
        }
    }
}
