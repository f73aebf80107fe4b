//! The background task that asks NBP and gives closed months their rates.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tokio_util::sync::CancellationToken;

use super::handle::Rates;
use super::nbp::Nbp;
use super::schedule::{self, Tries};
use super::table::{Asked, window};
use crate::database::DatabaseError;
use crate::usage::{Ledger, Month};
use mai_openrouter::{Endpoint, Pool};

/// Longest sleep. Clocks are set, and machines sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(5 * 60);
/// Seconds until closed months without a rate are tried again; they double with each try.
const FIRST_CLOSING_DELAY: i64 = 5 * 60;
const LONGEST_CLOSING_DELAY: i64 = 6 * 60 * 60;
/// Most closed months that get a rate. Those before have none.
const MOST_CLOSED: usize = 36;
/// Pause between two questions; NBP does not document how many it answers.
const PAUSE: Duration = Duration::from_millis(500);
/// Days that the newest table is searched in.
const NEWEST_DAYS: i64 = 10;

/// The task. It asks nobody before the client has used a model: until then nothing is billed.
pub(crate) struct RateFetcher {
    rates: Rates,
    ledger: Ledger,
    /// `None` where nobody is asked.
    nbp: Option<Nbp>,
    warsaw: TimeZone,
    tries: Tries,
    /// A part of the delays, which differs from server to server.
    spread: i64,
    closings: Closings,
}

/// The tries to give closed months their rates.
#[derive(Debug, Default)]
struct Closings {
    /// The month that ran at the last try.
    current: Option<Month>,
    due: Option<Timestamp>,
    in_vain: u32,
}

impl RateFetcher {
    /// The task for the API at this address.
    pub(crate) fn new(rates: &Rates, ledger: &Ledger, pool: Pool, nbp: Option<Endpoint>) -> Self {
        let (rates, ledger) = (rates.clone(), ledger.clone());
        let nbp = nbp.map(|endpoint| Nbp::new(pool, endpoint));
        let warsaw = TimeZone::get(schedule::ZONE).unwrap_or(TimeZone::UTC);
        let tries = Tries { newest: None, last: None, in_vain: 0 };
        let spread = i64::from(rand::random::<u16>());
        Self { rates, ledger, nbp, warsaw, tries, spread, closings: Closings::default() }
    }

    /// Runs until `closing` is cancelled.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        closing.run_until_cancelled(self.fetch_forever()).await;
    }

    async fn fetch_forever(&mut self) {
        let mut written = self.ledger.subscribe();
        loop {
            let first = match self.step().await {
                Ok(first) => first,
                Err(error) => {
                    tracing::error!(%error, "exchange rates could not be read or saved; trying again");
                    None
                }
            };
            tokio::select! {
                () = tokio::time::sleep(self.sleep()) => {}
                () = self.rates.changed() => self.closings.due = None,
                // Nothing is asked before the first usage, and everything soon after it.
                _ = written.changed(), if first.is_none() => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn sleep(&self) -> Duration {
        let now = Timestamp::now();
        let mut due: Vec<Timestamp> = self.closings.due.into_iter().collect();
        if self.nbp.is_some() {
            due.push(schedule::next(&self.tries, now, &self.warsaw, self.spread));
        }
        let wait = due.into_iter().min().map_or(LONGEST_SLEEP, |due| {
            Duration::from_millis(u64::try_from(due.as_millisecond() - now.as_millisecond()).unwrap_or(0))
        });
        wait.clamp(Duration::from_secs(1), LONGEST_SLEEP)
    }

    /// Does what is due; returns the month of the first usage, if there is any.
    async fn step(&mut self) -> Result<Option<Month>, DatabaseError> {
        let Some(first) = self.first_month().await? else { return Ok(None) };
        let now = Timestamp::now();
        self.tries.newest = self.rates.read(|table| table.newest_of_nbp());
        if self.nbp.is_some() && schedule::next(&self.tries, now, &self.warsaw, self.spread) <= now {
            self.fetch_newest(now).await?;
        }
        self.freeze_closed(first, now).await?;
        Ok(Some(first))
    }

    async fn first_month(&self) -> Result<Option<Month>, DatabaseError> {
        let first: Option<i64> = sqlx::query_scalar("SELECT min(started_at) FROM generation")
            .fetch_one(self.rates.database().reader())
            .await?;
        let first = first.and_then(|first| Timestamp::from_millisecond(first).ok());
        Ok(first.map(|first| Month::from_day(first.to_zoned(self.rates.zone().clone()).date())))
    }

    async fn fetch_newest(&mut self, now: Timestamp) -> Result<(), DatabaseError> {
        let Some(nbp) = &self.nbp else { return Ok(()) };
        let today = now.to_zoned(self.warsaw.clone()).date();
        let from = today.checked_sub(NEWEST_DAYS.days()).unwrap_or(today);
        let answer = nbp.rates(from, today).await;
        self.tries.last = Some(now);
        match answer {
            Ok(found) => {
                let former = self.tries.newest;
                if let Some(newest) = found.iter().max_by_key(|rate| rate.date)
                    && former.is_none_or(|former| newest.date > former)
                {
                    tracing::info!(rate = %newest.mid, table = newest.number, date = %newest.date, "new exchange rate");
                }
                self.rates.save_fetched(found).await?;
                self.tries.newest = self.rates.read(|table| table.newest_of_nbp());
                self.tries.in_vain = if self.tries.newest > former { 0 } else { self.tries.in_vain.saturating_add(1) };
            }
            Err(error) => {
                self.tries.in_vain = self.tries.in_vain.saturating_add(1);
                let (origin, tries) = (nbp.origin(), self.tries.in_vain);
                tracing::warn!(%error, origin, tries, "no exchange rate from NBP; the last known one stays, and one can be typed in");
            }
        }
        Ok(())
    }

    async fn freeze_closed(&mut self, first: Month, now: Timestamp) -> Result<(), DatabaseError> {
        let today = now.to_zoned(self.rates.zone().clone()).date();
        let current = Month::from_day(today);
        let is_due =
            self.closings.due.is_none_or(|due| due <= now || due > now + (2 * LONGEST_CLOSING_DELAY).seconds());
        if self.closings.current == Some(current) && !is_due {
            return Ok(());
        }
        let closed = std::iter::successors(Some(current.previous()), |month| Some(month.previous()));
        let closed = closed.take(MOST_CLOSED).take_while(|month| *month >= first);
        let open: Vec<Month> = self.rates.read(|table| closed.filter(|month| !table.is_frozen(*month)).collect());
        let (mut is_complete, mut is_reachable) = (true, true);
        for month in open {
            let asked = if is_reachable { self.ask_for(month).await? } else { Asked::InVain };
            is_reachable &= asked != Asked::InVain;
            match self.rates.read(|table| table.closing_rate(month, today, asked)) {
                Some(rate) => {
                    tracing::info!(%month, rate = %rate.mid, table = rate.number, date = %rate.date, "the rate of a closed month");
                    self.rates.freeze(month, rate).await?;
                }
                None => is_complete = false,
            }
        }
        let in_vain = if is_complete { 0 } else { self.closings.in_vain.saturating_add(1) };
        let delay = (FIRST_CLOSING_DELAY << in_vain.saturating_sub(1).min(7)).min(LONGEST_CLOSING_DELAY);
        let delay = if is_complete { LONGEST_CLOSING_DELAY } else { delay };
        self.closings = Closings { current: Some(current), due: Some(now + delay.seconds()), in_vain };
        Ok(())
    }

    /// Asks NBP for the days in which the rate of a closed month is searched.
    async fn ask_for(&self, month: Month) -> Result<Asked, DatabaseError> {
        let Some(nbp) = &self.nbp else { return Ok(Asked::Off) };
        let (from, to) = window(month);
        tokio::time::sleep(PAUSE).await;
        match nbp.rates(from, to).await {
            Ok(found) => {
                self.rates.save_fetched(found).await?;
                Ok(Asked::Answered)
            }
            Err(error) => {
                tracing::warn!(%error, %month, origin = nbp.origin(), "no exchange rate of a closed month from NBP; trying again");
                Ok(Asked::InVain)
            }
        }
    }
}
