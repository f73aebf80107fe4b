//! A private copy of the database of Open WebUI. The original is read as a file and never opened by
//! SQLite, which would write beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};

use crate::import::ImportError;

const DATABASE: &str = "webui.db";
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The files that belong to a database: committed pages may stand in the second one alone.
const SUFFIXES: [&str; 3] = ["", "-wal", "-journal"];
/// Columns without which nothing can be taken.
const NEEDED: [(&str, &[&str]); 3] = [
    ("user", &["id", "name", "email", "role", "created_at"]),
    ("auth", &["id", "password"]),
    ("chat", &["id", "user_id", "title", "chat", "created_at", "updated_at"]),
];

/// A row as JSON text and as its columns.
pub(super) struct SourceRow {
    pub(super) original: String,
    pub(super) columns: Map<String, Value>,
}

impl SourceRow {
    /// Returns a column as text.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        match self.columns.get(column)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Returns a column that holds JSON in its text.
    pub(super) fn json(&self, column: &str) -> Option<Value> {
        serde_json::from_str(self.columns.get(column)?.as_str()?).ok()
    }
}

/// The open copy, which is removed when it is dropped.
pub(super) struct Source {
    connection: SqliteConnection,
    columns: BTreeMap<String, BTreeSet<String>>,
    scratch: PathBuf,
}

impl Drop for Source {
    fn drop(&mut self) {
        // The next run removes what is left here.
        fs::remove_dir_all(&self.scratch).ok();
    }
}

impl Source {
    /// Copies the database to a folder of its own and checks it.
    pub(super) async fn open(directory: &Path, scratch: &Path) -> Result<Self, ImportError> {
        let original = directory.join(DATABASE);
        if !original.is_file() {
            return Err(ImportError::NoDatabase(directory.to_owned()));
        }
        check_format(&original)?;
        copy(&original, scratch)?;
        let removed_on_failure = |error| {
            fs::remove_dir_all(scratch).ok();
            error
        };
        Self::open_copy(&original, scratch).await.map_err(removed_on_failure)
    }

    async fn open_copy(original: &Path, scratch: &Path) -> Result<Self, ImportError> {
        let damaged = |_| ImportError::Damaged(original.to_owned());
        let options = SqliteConnectOptions::new().filename(scratch.join(DATABASE)).disable_statement_logging();
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(damaged)?;
        let check = sqlx::query_scalar::<_, String>("PRAGMA quick_check(1)").fetch_one(&mut connection).await;
        if check.map_err(damaged)? != "ok" {
            return Err(ImportError::Damaged(original.to_owned()));
        }
        let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT t.name, c.name FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
        )
        .fetch_all(&mut connection)
        .await?;
        for (table, column) in found {
            columns.entry(table).or_default().insert(column);
        }
        for (table, needed) in NEEDED {
            for &column in needed {
                if !columns.get(table).is_some_and(|columns| columns.contains(column)) {
                    return Err(ImportError::UnknownSchema { table, column });
                }
            }
        }
        if columns.contains_key("chat_message") {
            // Only our copy gets it.
            sqlx::query("CREATE INDEX mai_chat_message ON chat_message (chat_id)").execute(&mut connection).await?;
        }
        Ok(Self { connection, columns, scratch: scratch.to_owned() })
    }

    pub(super) fn tables(&self) -> Vec<String> {
        self.columns.keys().cloned().collect()
    }

    pub(super) fn has(&self, table: &str, column: &str) -> bool {
        self.columns.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// Returns the revision of the schema.
    pub(super) async fn revision(&mut self) -> Result<Option<String>, sqlx::Error> {
        if !self.has("alembic_version", "version_num") {
            return Ok(None);
        }
        sqlx::query_scalar("SELECT version_num FROM alembic_version").fetch_optional(&mut self.connection).await
    }

    pub(super) async fn count(&mut self, table: &str) -> Result<u64, sqlx::Error> {
        let sql = format!("SELECT count(*) FROM {}", quoted(table));
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await?;
        Ok(count.unsigned_abs())
    }

    /// Returns the numbers of all rows.
    pub(super) async fn row_numbers(&mut self, table: &str) -> Result<Vec<i64>, sqlx::Error> {
        let sql = format!("SELECT rowid FROM {} ORDER BY rowid", quoted(table));
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await
    }

    /// Returns the row of this number; `None` where it cannot be read.
    pub(super) async fn row(&mut self, table: &str, number: i64) -> Result<Option<SourceRow>, sqlx::Error> {
        let sql = self.select(table, "rowid = ?");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(number).fetch_optional(&mut self.connection).await?;
        row.map(|row| Ok(parse(row.try_get(0)?))).transpose().map(Option::flatten)
    }

    /// Returns the rows with this value in a column.
    pub(super) async fn rows_with(
        &mut self,
        table: &str,
        column: &str,
        value: &str,
    ) -> Result<Vec<SourceRow>, sqlx::Error> {
        let sql = self.select(table, &format!("{} = ? ORDER BY rowid", quoted(column)));
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(value).fetch_all(&mut self.connection).await?;
        let mut parsed = Vec::new();
        for row in rows {
            parsed.extend(parse(row.try_get(0)?));
        }
        Ok(parsed)
    }

    /// Returns a statement whose rows are JSON objects. Bytes instead of text, as it may not be UTF-8.
    fn select(&self, table: &str, condition: &str) -> String {
        let columns = self.columns.get(table).into_iter().flatten();
        let pairs: Vec<String> = columns
            .map(|column| {
                let (name, value) = (column.replace('\'', "''"), quoted(column));
                format!("'{name}', CASE typeof({value}) WHEN 'blob' THEN hex({value}) ELSE {value} || '' END")
            })
            .collect();
        format!("SELECT CAST(json_object({}) AS BLOB) FROM {} WHERE {condition}", pairs.join(", "), quoted(table))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn parse(bytes: Vec<u8>) -> Option<SourceRow> {
    let original = String::from_utf8_lossy(&bytes).into_owned();
    match serde_json::from_str(&original) {
        Ok(Value::Object(columns)) => Some(SourceRow { original, columns }),
        _ => None,
    }
}

fn check_format(original: &Path) -> Result<(), ImportError> {
    let failed = |source| ImportError::Copy { path: original.to_owned(), source };
    let mut magic = [0; MAGIC.len()];
    let read = fs::File::open(original).and_then(|mut file| file.read_exact(&mut magic));
    match read {
        Ok(()) if &magic == MAGIC => Ok(()),
        Ok(()) => Err(ImportError::NotSqlite(original.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(ImportError::NotSqlite(original.to_owned())),
        Err(error) => Err(failed(error)),
    }
}

/// Copies the files; fails when one of them changed meanwhile.
fn copy(original: &Path, scratch: &Path) -> Result<(), ImportError> {
    if scratch.exists() {
        fs::remove_dir_all(scratch).map_err(|source| ImportError::Copy { path: scratch.to_owned(), source })?;
    }
    let made = DirBuilder::new().mode(0o700).create(scratch);
    made.map_err(|source| ImportError::Copy { path: scratch.to_owned(), source })?;
    let stamp = |file: Metadata| (file.len(), file.mtime(), file.mtime_nsec());
    let file = |suffix: &str| PathBuf::from(format!("{}{suffix}", original.display()));
    let stamps = || SUFFIXES.map(|suffix| fs::metadata(file(suffix)).ok().map(stamp));
    let before = stamps();
    for (suffix, _) in SUFFIXES.iter().zip(&before).filter(|(_, stamp)| stamp.is_some()) {
        let copied = fs::copy(file(suffix), scratch.join(format!("{DATABASE}{suffix}")));
        if let Err(source) = copied {
            fs::remove_dir_all(scratch).ok();
            return Err(ImportError::Copy { path: file(suffix), source });
        }
    }
    if stamps() == before {
        return Ok(());
    }
    fs::remove_dir_all(scratch).ok();
    Err(ImportError::InUse(original.to_owned()))
}
