//! Open WebUI, releases 0.3 to 0.12, told apart by the columns that are there.
//!
//! `source` copies and reads the database; `people`, `chats` and `originals` write, in this order.
//! `tree` and `text` decide what of a chat is shown, `time` reads the units of times.

mod chats;
mod originals;
mod people;
mod source;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod text;
mod time;
mod tree;

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use self::source::Source;
use super::{ImportError, Report};
use crate::database::Database;
use crate::offline_data::OfflineData;

/// The program in table `imported`.
const SOURCE: &str = "open-webui";
/// The folder of private copies in the data directory.
const SCRATCH: &str = ".mai-import";

impl OfflineData {
    /// Takes over the data directory of Open WebUI. A dry run does the same on a copy of this
    /// database, which is thrown away.
    pub async fn import_open_webui(&self, from: &Path, is_dry_run: bool) -> Result<Report, ImportError> {
        let database = self.database();
        let data = database.parent().unwrap_or(Path::new("."));
        let scratch = data.join(SCRATCH);
        let mut source = Source::open(from, &scratch).await?;
        let mut report = Report { dry_run: is_dry_run, revision: source.revision().await?, ..Report::default() };
        let target = if is_dry_run {
            let copy = scratch.join("dry-run.db");
            for suffix in ["", "-wal"] {
                let path = format!("{}{suffix}", database.display());
                if Path::new(&path).exists() {
                    let copied = fs::copy(&path, format!("{}{suffix}", copy.display()));
                    copied.map_err(|source| ImportError::Copy { path: path.into(), source })?;
                }
            }
            copy
        } else {
            database.clone()
        };
        let db = Database::open(&target).await?;
        let taken = take(&mut source, &db, &mut report).await;
        db.close().await;
        if !is_dry_run {
            give_to_owner(data, &target)?;
        }
        taken.map(|()| report)
    }
}

/// Gives the database to the owner of its directory: made by root it would not open for the server.
fn give_to_owner(data: &Path, database: &Path) -> Result<(), ImportError> {
    let failed = |source| ImportError::Copy { path: database.to_owned(), source };
    let owner = fs::metadata(data).map_err(failed)?;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", database.display());
        let Ok(file) = fs::symlink_metadata(&path) else { continue };
        if file.uid() != owner.uid() {
            lchown(&path, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
        }
    }
    Ok(())
}

async fn take(source: &mut Source, db: &Database, report: &mut Report) -> Result<(), ImportError> {
    let people = people::take(source, db, report).await?;
    chats::take(source, db, &people, report).await?;
    originals::keep(source, db, &people, report).await
}
