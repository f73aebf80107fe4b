//! Tests of the writer through [`Database`].

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};

use super::batch::Batch;
use super::error::DatabaseError;
use super::open::Database;
use super::writer_task::RETRY;

/// A setting, written in batches; the number of rows in each is noted under the key `batches`. The
/// values `impossible` and `blob` break the schema, and are left out where that is refused.
struct Setting(String, String);

fn put_row(db: &Database, key: &str, value: &str) {
    db.enqueue(Setting(key.to_owned(), value.to_owned()));
}

impl Batch for Setting {
    const LINGER: Duration = Duration::from_millis(50);

    fn key(&self) -> &str {
        &self.0
    }

    fn bytes(&self) -> usize {
        self.1.len()
    }

    fn without_content(&self) -> Option<Self> {
        (self.1 == "blob").then(|| Self(self.0.clone(), String::new()))
    }

    fn write<'c>(rows: &'c [Self], connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<(), DatabaseError>> {
        Box::pin(async move {
            for Setting(key, value) in rows {
                let statement =
                    "INSERT INTO setting VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
                let query = sqlx::query(statement).bind(key);
                let query = match value.as_str() {
                    "impossible" => query.bind(None::<String>),
                    "blob" => query.bind(b"\0".to_vec()),
                    value => query.bind(value.to_owned()),
                };
                query.execute(&mut *connection).await?;
            }
            sqlx::query(
                "INSERT INTO setting VALUES ('batches', ?1) ON CONFLICT (key) DO UPDATE SET value = value || ' ' || ?1",
            )
            .bind(rows.len().to_string())
            .execute(connection)
            .await?;
            Ok(())
        })
    }
}

async fn database() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("mai.db")).await.unwrap();
    (directory, db)
}

async fn setting(db: &Database, key: &str) -> Option<String> {
    sqlx::query_scalar("SELECT value FROM setting WHERE key = ?").bind(key).fetch_optional(db.reader()).await.unwrap()
}

async fn put(db: &Database, key: &'static str, then_fail: bool) -> Result<(), DatabaseError> {
    db.write(move |connection| {
        Box::pin(async move {
            sqlx::query("INSERT INTO setting VALUES (?, 'x')").bind(key).execute(&mut *connection).await?;
            if then_fail {
                sqlx::query("INSERT INTO nowhere VALUES (1)").execute(connection).await?;
            }
            Ok(())
        })
    })
    .await
}

#[tokio::test]
async fn failing_job_is_rolled_back_alone() {
    let (_directory, db) = database().await;
    let (first, second, third) =
        tokio::join!(put(&db, "first", false), put(&db, "second", true), put(&db, "third", false));
    assert!(first.is_ok() && third.is_ok());
    assert!(second.unwrap_err().to_string().contains("nowhere"));
    assert!(setting(&db, "first").await.is_some() && setting(&db, "third").await.is_some());
    assert!(setting(&db, "second").await.is_none());
}

#[tokio::test]
async fn rows_are_batched_and_written_before_a_later_job() {
    let (_directory, db) = database().await;
    for n in 0..3 {
        put_row(&db, "n", &n.to_string());
        put_row(&db, &format!("row {n}"), "x");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(setting(&db, "n").await, None);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(setting(&db, "batches").await.unwrap(), "4", "a row with a later one of its key was written");
    assert_eq!(setting(&db, "n").await.unwrap(), "2");

    put_row(&db, "n", "before");
    db.flush().await.unwrap();
    assert_eq!(setting(&db, "n").await.unwrap(), "before");
}

#[tokio::test]
async fn impossible_row_is_dropped_and_the_others_written() {
    let (_directory, db) = database().await;
    for (key, value) in [("a", "1"), ("b", "impossible"), ("blob", "blob"), ("c", "3")] {
        put_row(&db, key, value);
    }
    db.flush().await.unwrap();
    assert_eq!(setting(&db, "blob").await.unwrap(), "", "the row is lost with its content");
    assert_eq!((setting(&db, "a").await.unwrap(), setting(&db, "c").await.unwrap()), ("1".into(), "3".into()));
    assert_eq!(setting(&db, "b").await, None);
}

#[tokio::test]
async fn closing_writes_the_queue_and_refuses_later_jobs() {
    let (directory, db) = database().await;
    put_row(&db, "last", "word");
    db.close().await;
    assert!(matches!(put(&db, "late", false).await, Err(DatabaseError::Closed)));
    assert!(!directory.path().join("mai.db-wal").exists());
    let db = Database::open(directory.path().join("mai.db")).await.unwrap();
    assert_eq!(setting(&db, "last").await.unwrap(), "word");
}

#[tokio::test]
async fn refused_rows_are_tried_again() {
    let (directory, db) = database().await;
    // A lock of another process would only be refused after a second; a renamed table is refused
    // at once.
    let path = directory.path().join("mai.db");
    let other = Database::open(&path).await.unwrap();
    let trigger = |statement: &'static str| {
        let other = other.clone();
        async move {
            other
                .write(move |connection| {
                    Box::pin(async move {
                        sqlx::query(statement).execute(connection).await?;
                        Ok(())
                    })
                })
                .await
                .unwrap();
        }
    };
    trigger("ALTER TABLE setting RENAME TO away").await;
    put_row(&db, "patient", "row");
    db.flush().await.unwrap();
    trigger("ALTER TABLE away RENAME TO setting").await;
    tokio::time::sleep(RETRY + Duration::from_millis(500)).await;
    assert_eq!(setting(&db, "patient").await.unwrap(), "row");
}

#[tokio::test]
async fn transaction_ended_by_sqlite_blocks_no_later_write() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::open(directory.path().join("mai.db")).await.unwrap();
    let ended = db.write(|connection| {
        Box::pin(async move {
            // As SQLite does on a full disk.
            sqlx::query("ROLLBACK").execute(&mut *connection).await?;
            sqlx::query("INSERT INTO nowhere VALUES (1)").execute(connection).await?;
            Ok(())
        })
    });
    ended.await.unwrap_err();
    for key in ["first", "second"] {
        db.write(move |connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO setting VALUES (?, 'x')").bind(key).execute(connection).await?;
                Ok(())
            })
        })
        .await
        .unwrap();
    }
    put_row(&db, "third", "x");
    db.flush().await.unwrap();
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM setting WHERE value = 'x'").fetch_one(db.reader()).await.unwrap();
    assert_eq!(kept, 3);
}

/// Locks the database as another program does, such as a backup by hand.
async fn locked(directory: &tempfile::TempDir) -> SqliteConnection {
    let file = format!("sqlite:{}", directory.path().join("mai.db").display());
    let mut other = SqliteConnection::connect(&file).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    other
}

#[tokio::test]
async fn locked_database_is_waited_for() {
    let (directory, db) = database().await;
    let other = locked(&directory).await;
    put_row(&db, "row", "x");
    let job = tokio::spawn({
        let db = db.clone();
        async move { put(&db, "job", false).await }
    });
    // Longer than SQLite itself waits.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(!job.is_finished());
    put_row(&db, "row", "y");
    assert_eq!(setting(&db, "row").await, None, "reads go on");
    other.close().await.unwrap();
    job.await.unwrap().unwrap();
    tokio::time::sleep(RETRY + Duration::from_millis(500)).await;
    assert_eq!((setting(&db, "job").await.unwrap(), setting(&db, "row").await.unwrap()), ("x".into(), "y".into()));
}

#[tokio::test]
async fn queue_is_bounded_in_bytes_and_holds_one_row_of_a_key() {
    let (directory, db) = database().await;
    let other = locked(&directory).await;
    let text = "x".repeat(1024 * 1024);
    for _ in 0..100 {
        put_row(&db, "same", &text);
    }
    assert!(!db.is_full(), "rows that replace each other are counted one by one");
    for n in 0..32 {
        put_row(&db, &n.to_string(), &text);
    }
    assert!(db.is_full());
    assert!(matches!(put(&db, "late", false).await, Err(DatabaseError::QueueFull)));
    other.close().await.unwrap();
    while db.is_full() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    put(&db, "late", false).await.unwrap();
    db.flush().await.unwrap();
    assert_eq!(setting(&db, "31").await.unwrap().len(), text.len(), "a row that was accepted is lost");
}
