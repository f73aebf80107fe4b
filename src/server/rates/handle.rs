//! The handle of the rates: what is known in memory, and how it changes.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use parking_lot::RwLock;
use tokio::sync::Notify;

use super::rate::{InvalidRate, MonthRate, Rate};
use super::store;
use super::table::RateTable;
use crate::audit::{self, Action, Actor, Event};
use crate::database::{Database, DatabaseError};
use crate::usage::Month;
use crate::zloty::NewestRate;

/// Days for which a rate can be typed in afterwards.
const OLDEST_TYPED_DAYS: i32 = 400;

/// A rate that was not saved.
#[derive(Debug, thiserror::Error)]
pub enum RateError {
    /// Its parts are not those of a rate.
    #[error(transparent)]
    Invalid(#[from] InvalidRate),
    /// Its day is ahead, or long ago.
    #[error("{0} is not a day of the last year; give the day of the table")]
    Day(Date),
    /// A better source has given it.
    #[error("the rate of {0} is known already, from NBP or from the provider of this server, and cannot be typed in")]
    Known(Date),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The rates that are known. Reading asks neither network nor database; cloning is cheap.
#[derive(Debug, Clone)]
pub struct Rates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: Database,
    /// The client's, whose midnights begin months.
    zone: TimeZone,
    /// Never held across an await.
    table: RwLock<RateTable>,
    newest: NewestRate,
    /// Wakes the task that freezes the rates of closed months.
    changed: Notify,
}

impl Rates {
    /// Loads what is known, and replaces what a former document declared by these.
    pub(crate) async fn load(db: &Database, zone: TimeZone, declared: Vec<Rate>) -> Result<Self, DatabaseError> {
        let rates = declared.clone();
        let mut table = store::load(db).await?;
        let is_new = {
            let former = table.clone();
            table.remove_declared();
            declared.into_iter().for_each(|rate| table.add(rate));
            table != former
        };
        if is_new {
            db.write(move |connection| {
                Box::pin(async move {
                    store::remove_declared(connection).await?;
                    for rate in &rates {
                        store::save(connection, rate).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        }
        let (db, table, newest) = (db.clone(), RwLock::new(table), NewestRate::default());
        let rates = Self(Arc::new(Shared { db, zone, table, newest, changed: Notify::new() }));
        rates.update_newest();
        Ok(rates)
    }

    /// The rate of a month: of a closed one its own, of the running one the newest. `None` while no
    /// rate is known at all.
    pub fn for_month(&self, month: Month) -> Option<MonthRate> {
        self.0.table.read().for_month(month, Month::current(&self.0.zone))
    }

    /// The newest rate, for those who need no more of it.
    pub(crate) fn newest(&self) -> NewestRate {
        self.0.newest.clone()
    }

    fn update_newest(&self) {
        self.0.newest.set(self.for_month(Month::current(&self.0.zone)).map(|month| month.rate.mid));
    }

    /// Saves a rate that an administrator typed in. The tables of NBP and rates of the document stay
    /// in force.
    pub async fn save_typed(&self, rate: Rate, actor: Actor) -> Result<(), RateError> {
        let today = Timestamp::now().to_zoned(self.0.zone.clone()).date();
        // A day more: the client's clocks may be behind those of NBP.
        if !(-1..OLDEST_TYPED_DAYS).contains(&(today - rate.date).get_days()) {
            return Err(RateError::Day(rate.date));
        }
        if self.0.table.read().has_better_than_manual(rate.date) {
            return Err(RateError::Known(rate.date));
        }
        let saved = rate.clone();
        let write = self.0.db.write(move |connection| {
            Box::pin(async move {
                store::save(connection, &saved).await?;
                let event = Event::new(Action::RateEntered, actor)
                    .with("date", saved.date.to_string())
                    .with("rate", saved.mid.to_string());
                audit::record(connection, event).await
            })
        });
        write.await?;
        self.0.table.write().add(rate);
        self.update_newest();
        self.0.changed.notify_one();
        Ok(())
    }

    /// Saves rates of NBP.
    pub(super) async fn save_fetched(&self, rates: Vec<Rate>) -> Result<(), DatabaseError> {
        let new = {
            let mut table = self.0.table.write();
            let former = table.clone();
            rates.iter().for_each(|rate| table.add(rate.clone()));
            *table != former
        };
        if !new {
            return Ok(());
        }
        self.update_newest();
        let write = self.0.db.write(move |connection| {
            Box::pin(async move {
                for rate in &rates {
                    store::save(connection, rate).await?;
                }
                Ok(())
            })
        });
        write.await
    }

    /// Gives a closed month its rate for ever.
    pub(super) async fn freeze(&self, month: Month, rate: Rate) -> Result<(), DatabaseError> {
        let frozen = rate.clone();
        self.0
            .db
            .write(move |connection| Box::pin(async move { store::freeze(connection, month, &frozen).await }))
            .await?;
        self.0.table.write().freeze(month, rate);
        Ok(())
    }

    /// Calls a function with what is known.
    pub(super) fn read<T>(&self, read: impl FnOnce(&RateTable) -> T) -> T {
        read(&self.0.table.read())
    }

    pub(super) fn database(&self) -> &Database {
        &self.0.db
    }

    pub(super) fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    /// Waits until a rate was typed in.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
