//! Data that a restore replaced and that is kept: in the data directory, or, by former versions, beside
//! it.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mai_backup::discard_restore;
use mai_contract::job::BackupId;
use mai_contract::restores::{DIRECTORY, unfinished_swap};

/// Name of the kept data in the directory of a restore.
const FORMER: &str = "former";
/// Between the name of a data directory and the time at which a restore replaced it.
const REPLACED: &str = ".before-restore-";

/// Data that a restore replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct ReplacedData {
    /// Its directory.
    pub(in crate::cli) directory: PathBuf,
    /// Time of the restore.
    pub(in crate::cli) since: Option<Timestamp>,
    /// The data directory that it lies in, with the restore; none where it lies beside it.
    inside: Option<(PathBuf, BackupId)>,
}

/// Returns the data that restores of a data directory replaced; none while an exchange has not ended.
pub(in crate::cli) fn find(data: &Path) -> Vec<ReplacedData> {
    if !unfinished_swap(data).is_ok_and(|mark| mark.is_none()) {
        return Vec::new();
    }
    let restores = data.join(DIRECTORY);
    let inside = entries(&restores).filter_map(|(name, path)| {
        let id: BackupId = name.parse().ok()?;
        let directory = path.join(FORMER);
        directory.symlink_metadata().is_ok_and(|found| found.is_dir()).then(|| ReplacedData {
            directory,
            since: time("%Y%m%d-%H%M%S", &id.as_str()[..15]),
            inside: Some((data.to_owned(), id)),
        })
    });
    inside.chain(beside(data)).collect()
}

/// Returns the directories beside a data directory that restores replaced.
pub(in crate::cli) fn beside(data: &Path) -> Vec<ReplacedData> {
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    let (Some(parent), Some(start)) = (data.parent(), data.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let found = entries(parent).filter_map(|(name, directory)| {
        let replaced_at = name.strip_prefix(start)?.strip_prefix(REPLACED)?;
        let since = Some(time("%Y%m%dT%H%M%SZ", replaced_at)?);
        Some(ReplacedData { directory, since, inside: None })
    });
    found.collect()
}

/// Returns name and path of each directory in a directory. Links are none.
fn entries(directory: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

fn time(format: &str, text: &str) -> Option<Timestamp> {
    TimeZone::UTC.to_timestamp(DateTime::strptime(format, text).ok()?).ok()
}

impl ReplacedData {
    /// Removes it, as a job does that discards a restore. Nothing else may work on the data meanwhile.
    pub(in crate::cli) async fn remove(&self) -> anyhow::Result<()> {
        let Some((data, id)) = &self.inside else {
            let metadata = self.directory.symlink_metadata()?;
            anyhow::ensure!(metadata.is_dir(), "it is no directory any more");
            return Ok(std::fs::remove_dir_all(&self.directory)?);
        };
        let (data, id) = (data.clone(), id.clone());
        Ok(tokio::task::spawn_blocking(move || discard_restore(&data, &id)).await??)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn replaced_data_is_known_by_its_name_and_time() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().canonicalize().unwrap().join("data");
        for name in [
            "data/.mai-restore/20261130-020000-1f2e3d/former",
            "data/.mai-restore/20261201-020000-1f2e3d/new",
            "data/.mai-restore/by-hand/former",
            "data.before-restore-20261130T020000Z",
            "data.before-restore",
            "data.before-restore-by-hand",
            "data2.before-restore-20261130T020000Z",
        ] {
            std::fs::create_dir_all(place.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("/", place.path().join("data.before-restore-20261130T020001Z")).unwrap();
        let found = find(&data);
        let paths: Vec<_> =
            found.iter().map(|one| one.directory.strip_prefix(data.parent().unwrap()).unwrap()).collect();
        let expected = ["data/.mai-restore/20261130-020000-1f2e3d/former", "data.before-restore-20261130T020000Z"];
        assert_eq!(paths, expected.map(Path::new));
        assert!(found.iter().all(|one| one.since == Some("2026-11-30T02:00:00Z".parse().unwrap())));

        std::fs::write(data.join(".mai-restore/swap.former"), "20261130-020000-1f2e3d").unwrap();
        assert_eq!(find(&data), [], "its restore is in the middle");
    }
}
