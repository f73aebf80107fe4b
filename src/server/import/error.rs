//! Reasons that nothing is taken over.

use std::io;
use std::path::PathBuf;

use crate::database::DatabaseError;

/// Failure to take over data. What was committed before stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no database.
    #[error(
        "{} has no webui.db; give the data directory of Open WebUI (an installation on PostgreSQL has no such file and cannot be taken over)",
        .0.display()
    )]
    NoDatabase(PathBuf),
    /// It is not in SQLite's format.
    #[error(
        "{} is not a plain SQLite file: it is encrypted (SQLCipher), a dump, or cut off at its beginning; decrypt it first, or give the original file",
        .0.display()
    )]
    NotSqlite(PathBuf),
    /// It changed while it was copied.
    #[error("{} is being written; stop Open WebUI and try again", .0.display())]
    InUse(PathBuf),
    /// SQLite finds it damaged.
    #[error("{} is damaged or was cut off; copy webui.db and webui.db-wal again while Open WebUI is stopped", .0.display())]
    Damaged(PathBuf),
    /// A column that is read is not there.
    #[error(
        "the database has no column {table}.{column}, so it is of a release of Open WebUI that this version does not know"
    )]
    UnknownSchema {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// Accounts whose addresses differ by letter case alone.
    #[error("the accounts {} have the same e-mail address but for letter case; remove or rename all but one in Open WebUI", .0.join(" and "))]
    SameAddress(Vec<String>),
    /// A file could not be copied, or given to the server.
    #[error("{} cannot be copied or given to its owner: {source}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The copy could not be read.
    #[error("the copy of webui.db cannot be read: {0}")]
    Source(#[from] sqlx::Error),
    /// The server's own database refused.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
