//! Read-only connections. A statement that nobody waits for any more is interrupted, and so is one
//! that takes too long.
//!
//! SQLx runs each connection on a thread of its own and notices only at the next row that its
//! caller left: a statement that works long before its first row would go on to its end. So each
//! connection asks every few instructions whether its time is up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo};
use sqlx::{Connection, Either, Error, Execute, Executor, SqlStr, Sqlite, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest time of a statement.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// Instructions of SQLite between two looks at the clock, well below a millisecond.
const INSTRUCTIONS: i32 = 2_000;

/// A pool of read-only connections, which are opened when they are needed first and then kept: an
/// idle server holds no more than it used. It is an executor of statements; cloning is cheap.
#[derive(Debug, Clone)]
pub struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: SqliteConnectOptions,
    most: u32,
    time_limit: Duration,
    idle: Mutex<Vec<Connected>>,
    permits: Arc<Semaphore>,
}

/// An open connection.
#[derive(Debug)]
struct Connected {
    connection: SqliteConnection,
    clock: StatementClock,
}

/// The time at which the statement of a connection is interrupted, in milliseconds since the
/// connection was opened; 0 for at once.
#[derive(Debug, Clone)]
struct StatementClock {
    opened: Instant,
    ends_at: Arc<AtomicU64>,
}

impl StatementClock {
    fn milliseconds(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn start(&self, limit: Duration) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.ends_at.store(self.milliseconds().saturating_add(limit), Ordering::Relaxed);
    }

    fn interrupt(&self) {
        self.ends_at.store(0, Ordering::Relaxed);
    }

    fn is_running(&self) -> bool {
        self.milliseconds() < self.ends_at.load(Ordering::Relaxed)
    }
}

impl Readers {
    pub(super) fn new(options: SqliteConnectOptions, most: u32) -> Self {
        Self::with_time_limit(options, most, TIME_LIMIT)
    }

    pub(super) fn with_time_limit(options: SqliteConnectOptions, most: u32, time_limit: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(most as usize));
        Self(Arc::new(Shared { options, most, time_limit, idle: Mutex::default(), permits }))
    }

    async fn acquire(&self) -> Result<Reader, Error> {
        let permit = Arc::clone(&self.0.permits).acquire_owned();
        let permit = tokio::time::timeout(PATIENCE, permit).await.map_err(|_| Error::PoolTimedOut)?;
        let permit = permit.map_err(|_| Error::PoolClosed)?;
        let idle = self.0.idle.lock().pop();
        let connected = match idle {
            Some(connected) => connected,
            None => self.connect().await?,
        };
        connected.clock.start(self.0.time_limit);
        Ok(Reader { connected: Some(connected), readers: self.clone(), is_done: false, permit: Some(permit) })
    }

    async fn connect(&self) -> Result<Connected, Error> {
        let mut connection = SqliteConnection::connect_with(&self.0.options).await?;
        let clock = StatementClock { opened: Instant::now(), ends_at: Arc::default() };
        let asked = clock.clone();
        connection.lock_handle().await?.set_progress_handler(INSTRUCTIONS, move || asked.is_running());
        Ok(Connected { connection, clock })
    }

    /// Waits for the statements that run and closes all connections. Later statements are refused.
    pub(super) async fn close(&self) {
        let Shared { permits, most, idle, time_limit, .. } = &*self.0;
        tokio::time::timeout(*time_limit, permits.acquire_many(*most)).await.ok();
        permits.close();
        let idle = std::mem::take(&mut *idle.lock());
        for Connected { connection, .. } in idle {
            connection.close().await.ok();
        }
    }
}

/// A connection in use. Dropped before its statement is done, it interrupts the statement.
#[derive(Debug)]
struct Reader {
    connected: Option<Connected>,
    readers: Readers,
    is_done: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl Reader {
    fn connection(&mut self) -> Result<&mut SqliteConnection, Error> {
        self.connected.as_mut().map(|connected| &mut connected.connection).ok_or(Error::PoolClosed)
    }

    /// Gives the connection back at once.
    fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(mut connected) = self.connected.take() else { return };
        if self.is_done {
            self.readers.0.idle.lock().push(connected);
            return;
        }
        connected.clock.interrupt();
        // The next statement would give the interrupted one its time back, so the connection is
        // used again only when it answers.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (readers, permit) = (self.readers.clone(), self.permit.take());
        runtime.spawn(async move {
            if connected.connection.ping().await.is_ok() {
                readers.0.idle.lock().push(connected);
            }
            drop(permit);
        });
    }
}

impl<'p> Executor<'p> for &'_ Readers {
    type Database = Sqlite;

    /// The rows come when the statement is done: nobody keeps a connection by reading slowly.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<SqliteQueryResult, SqliteRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let readers = self.clone();
        let rows = async move {
            let mut reader = readers.acquire().await?;
            let rows: Vec<_> = reader.connection()?.fetch_many(query).try_collect().await?;
            reader.done();
            Ok::<_, Error>(stream::iter(rows).map(Ok))
        };
        stream::once(rows).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<SqliteRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Sqlite>,
    {
        let readers = self.clone();
        Box::pin(async move {
            let mut reader = readers.acquire().await?;
            let row = reader.connection()?.fetch_optional(query).await?;
            reader.done();
            Ok(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [SqliteTypeInfo],
    ) -> BoxFuture<'e, Result<SqliteStatement, Error>>
    where
        'p: 'e,
    {
        let readers = self.clone();
        Box::pin(async move {
            let mut reader = readers.acquire().await?;
            let statement = reader.connection()?.prepare_with(sql, parameters).await?;
            reader.done();
            Ok(statement)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::database::DatabaseError;

    /// Counts for as long as it is let.
    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE i < 0";

    fn readers(most: u32, time_limit: Duration) -> Readers {
        Readers::with_time_limit(SqliteConnectOptions::new().filename(":memory:"), most, time_limit)
    }

    async fn answer(readers: &Readers) -> i64 {
        sqlx::query_scalar("SELECT 1").fetch_one(readers).await.unwrap()
    }

    #[tokio::test]
    async fn statement_that_nobody_waits_for_is_interrupted() {
        // Were it not interrupted, the only connection would be taken for a day.
        let readers = readers(1, Duration::from_secs(24 * 60 * 60));
        for _ in 0..3 {
            let endless = sqlx::query(ENDLESS).fetch_all(&readers);
            assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
            let endless = sqlx::query(ENDLESS).fetch_optional(&readers);
            assert!(tokio::time::timeout(Duration::from_millis(50), endless).await.is_err());
            assert_eq!(answer(&readers).await, 1);
        }
    }

    #[tokio::test]
    async fn statement_that_takes_too_long_fails_alone() {
        let readers = readers(1, Duration::from_millis(100));
        for _ in 0..3 {
            let error = sqlx::query(ENDLESS).fetch_all(&readers).await.unwrap_err();
            assert!(matches!(DatabaseError::from(error), DatabaseError::TooSlow));
            assert_eq!(answer(&readers).await, 1);
        }
    }

    #[tokio::test]
    async fn closed_readers_refuse_statements() {
        let readers = readers(2, TIME_LIMIT);
        assert_eq!(answer(&readers).await, 1);
        readers.close().await;
        assert!(matches!(sqlx::query("SELECT 1").fetch_one(&readers).await, Err(Error::PoolClosed)));
    }
}
