//! Paths of an instance: `STATE_DIR/instances/NAME/{data,backups,server.log}`, unless its document
//! declares others.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::{InstanceId, Workload, kept_name};
use crate::runtime::{RetiredKind, RuntimeError};
use mai_ownership::{OwnershipChange, chown_tree};

/// File with the paths in use, by which data is removed when the document is gone.
const RECORD: &str = "instance.json";

/// Paths of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstancePaths {
    /// Everything that is not declared to be elsewhere.
    pub(super) home: PathBuf,
    /// The database and whatever else the server keeps.
    pub(super) data: PathBuf,
    /// Its backups.
    pub(super) backups: PathBuf,
    /// Its log.
    pub(super) log: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    uid: String,
    data: PathBuf,
    backups: PathBuf,
    /// Declared paths that were missing or empty when they were first used: all that is in them is
    /// the instance's.
    #[serde(default)]
    wholly_ours: BTreeSet<PathBuf>,
}

/// The name under which an instance is kept.
pub(super) fn key(id: &InstanceId) -> Result<String, RuntimeError> {
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
    };
    if !plain(&id.name) || !plain(&id.namespace) {
        return Err(RuntimeError::Unsupported(format!(
            "{:?} in namespace {:?} cannot name a directory; use letters, digits, '-' and '.' alone",
            id.name, id.namespace
        )));
    }
    Ok(kept_name(&id.namespace, &id.name))
}

/// Returns the instance that is kept under a name, without its uid. What [`key`] never returns is no
/// instance's.
pub(super) fn owner_of(kept_as: &str) -> Option<InstanceId> {
    let (namespace, name) = kept_as.split_once('_').unwrap_or(("default", kept_as));
    let id = InstanceId { namespace: namespace.to_owned(), name: name.to_owned(), uid: String::new() };
    key(&id).is_ok_and(|key| key == kept_as).then_some(id)
}

impl InstancePaths {
    /// The paths of the instance that is kept as `key`; with a workload, those that it declares.
    pub(super) fn new(state_dir: &Path, key: &str, workload: Option<&Workload>) -> Self {
        let data = workload.and_then(|workload| workload.data_path.as_deref());
        let backups = workload.and_then(|workload| workload.backups_path.as_deref());
        Self::declared(state_dir, key, data, backups)
    }

    /// The paths of the instance that is kept as `key` and declares these for its data and backups.
    pub(super) fn declared(state_dir: &Path, key: &str, data: Option<&Path>, backups: Option<&Path>) -> Self {
        let home = state_dir.join("instances").join(key);
        let declared = |path: Option<&Path>, name: &str| path.map_or_else(|| home.join(name), Path::to_owned);
        Self { data: declared(data, "data"), backups: declared(backups, "backups"), log: home.join("server.log"), home }
    }

    /// Makes what is missing, readable for the own user alone, and proves that all of it can be
    /// written.
    pub(super) fn make(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let not_writable = |path: &Path, source| RuntimeError::NotWritable {
            instance: id.to_string(),
            path: path.display().to_string(),
            source,
        };
        let former = self.read_record().map_err(|source| not_writable(&self.home, source))?;
        let mut wholly_ours = former.map(|record| record.wholly_ours).unwrap_or_default();
        for path in [&self.data, &self.backups] {
            let outside = !path.starts_with(&self.home);
            if outside && std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none()) {
                wholly_ours.insert(path.clone());
            }
        }
        for path in [&self.home, &self.data, &self.backups] {
            make_writable(path, path.starts_with(&self.home)).map_err(|source| not_writable(path, source))?;
        }
        let record =
            Record { uid: id.uid.clone(), data: self.data.clone(), backups: self.backups.clone(), wholly_ours };
        self.write_record(&record).map_err(|source| not_writable(&self.home, source))
    }

    /// Gives data, backups and home to the owner of the state directory, which is whoever runs `mai
    /// compose`; tells what that changed.
    pub(super) fn fix_ownership(&self, state_dir: &Path) -> io::Result<Vec<OwnershipChange>> {
        let owner = state_dir.metadata()?;
        let owner = (owner.uid(), owner.gid());
        let elsewhere = [&self.data, &self.backups].into_iter().filter(|path| !path.starts_with(&self.home));
        let mut given = Vec::new();
        for path in std::iter::once(&self.home).chain(elsewhere).filter(|path| path.is_dir()) {
            let refused = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            if path.components().count() < 3 {
                return Err(refused(io::Error::other("more than one program lives below it, so it is not given away")));
            }
            let count = chown_tree(path, owner.0, owner.1).map_err(refused)?;
            given.push(OwnershipChange { place: path.display().to_string(), owner, count: Some(count) });
        }
        Ok(given)
    }

    /// Opens the log so that whatever is written goes to its end, also after it was truncated.
    pub(super) fn open_log(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.log)
    }

    /// Removes the data of the instance `id` in its home, and nothing else. What was never made is no
    /// error.
    pub(super) fn remove_data(&self, id: &InstanceId, state_dir: &Path) -> io::Result<()> {
        let record = self.record_of(id)?;
        let data = self.home.join("data");
        if record.is_some_and(|record| record.backups.starts_with(&data)) {
            return Err(refused(&data, "its backups lie in it"));
        }
        may_be_removed(&data, state_dir)?;
        remove_tree(&data)
    }

    /// Removes data, backups and home of the instance `id`. What was never made is no error.
    pub(super) fn remove(&self, id: &InstanceId, state_dir: &Path) -> io::Result<()> {
        let record = self.record_of(id)?;
        let wholly_ours = record.as_ref().map(|record| record.wholly_ours.clone()).unwrap_or_default();
        let recorded = record.into_iter().flat_map(|record| [record.data, record.backups]);
        let mut doomed: Vec<PathBuf> = recorded.filter(|path| !path.starts_with(&self.home)).collect();
        if let Some(path) = doomed.iter().find(|path| !wholly_ours.contains(*path)) {
            return Err(refused(path, "it held other files before the instance was started there"));
        }
        // The home goes last: it holds the record of what else there is to remove.
        doomed.push(self.home.clone());
        for path in &doomed {
            may_be_removed(path, state_dir)?;
        }
        doomed.iter().try_for_each(|path| remove_tree(path))
    }

    /// Returns the recorded uid, and the places that hold nothing but data and backups of the instance.
    pub(super) fn made(&self) -> io::Result<(String, Vec<(RetiredKind, PathBuf)>)> {
        let mut places =
            vec![(RetiredKind::Data, self.home.join("data")), (RetiredKind::Backups, self.home.join("backups"))];
        let Some(Record { uid, data, backups, wholly_ours }) = self.read_record()? else {
            return Ok((String::new(), places));
        };
        for place in [(RetiredKind::Data, data), (RetiredKind::Backups, backups)] {
            if !places.contains(&place) && wholly_ours.contains(&place.1) {
                places.push(place);
            }
        }
        Ok((uid, places))
    }

    /// Removes one of the places that [`InstancePaths::made`] returns, and the home where it holds
    /// nothing but files after the last of them.
    pub(super) fn remove_made(&self, place: &Path, state_dir: &Path) -> io::Result<()> {
        let (_, places) = self.made()?;
        let others: Vec<&PathBuf> = places.iter().map(|(_, made)| made).filter(|made| *made != place).collect();
        if others.len() == places.len() {
            return Err(refused(place, "it was not made for the instance"));
        }
        if let Some(within) = others.iter().find(|other| other.starts_with(place) && other.exists()) {
            return Err(refused(place, &format!("{} lies in it", within.display())));
        }
        may_be_removed(place, state_dir)?;
        remove_tree(place)?;
        if others.iter().any(|other| other.exists()) || holds_directory(&self.home)? {
            return Ok(());
        }
        may_be_removed(&self.home, state_dir)?;
        remove_tree(&self.home)
    }

    /// Returns the record of the instance `id`, unless it is of another one that had its name.
    fn record_of(&self, id: &InstanceId) -> io::Result<Option<Record>> {
        let record = self.read_record()?;
        match &record {
            Some(record) if record.uid != id.uid => {
                Err(refused(&self.home, "it belongs to another instance that had the same name"))
            }
            _ => Ok(record),
        }
    }

    fn read_record(&self) -> io::Result<Option<Record>> {
        match std::fs::read(self.home.join(RECORD)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_record(&self, record: &Record) -> io::Result<()> {
        let unfinished = self.home.join(".instance.json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        std::fs::rename(&unfinished, self.home.join(RECORD))
    }
}

fn make_writable(path: &Path, own: bool) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    if own {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    }
    // Permissions, read-only mounts and full volumes all show only when something is written.
    let trial = path.join(format!(".mai-write-test.{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&trial)
        .and_then(|mut file| file.write_all(b"can this be written?\n"));
    let removed = std::fs::remove_file(&trial);
    written.and(removed)
}

fn holds_directory(path: &Path) -> io::Result<bool> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        if entry?.file_type()?.is_dir() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        // A mount point: its content is gone, the directory itself is not ours to remove.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        Ok(()) => Ok(()),
    }
}

fn may_be_removed(path: &Path, state_dir: &Path) -> io::Result<()> {
    let real = match path.canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => return Ok(()),
        Err(error) => return Err(error),
    };
    if real != path {
        return Err(refused(path, "it is, or lies behind, a symbolic link"));
    }
    if path.components().count() < 3 || state_dir.starts_with(path) {
        return Err(refused(path, "more than one instance lives below it"));
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{} is not removed: {why}; look at it and remove it by hand", path.display()),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(namespace: &str, name: &str, uid: &str) -> InstanceId {
        InstanceId { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() }
    }

    fn state() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap().join("state");
        std::fs::create_dir(&path).unwrap();
        (directory, path)
    }

    fn elsewhere(paths: InstancePaths, data: PathBuf) -> InstancePaths {
        InstancePaths { data, ..paths }
    }

    #[test]
    fn no_two_instances_share_a_key_and_no_name_leads_out() {
        assert_eq!(key(&id("default", "abc", "")).unwrap(), "abc");
        assert_eq!(key(&id("team", "abc", "")).unwrap(), "team_abc");
        for name in ["", "..", ".", "a/b", "/a", "a\0b", "-", "team_abc"] {
            assert!(key(&id("default", name, "")).is_err(), "{name:?}");
        }
    }

    #[test]
    fn name_of_a_directory_tells_its_instance() {
        for (namespace, name) in [("default", "abc"), ("team", "abc"), ("a.b", "c-d")] {
            let id = id(namespace, name, "");
            assert_eq!(owner_of(&key(&id).unwrap()), Some(id));
        }
        for kept_as in ["default_abc", "a_b_c", "-", ".hidden", ""] {
            assert_eq!(owner_of(kept_as), None, "{kept_as:?}");
        }
    }

    #[test]
    fn retired_places_are_removed_one_by_one() {
        let (_kept, state) = state();
        let data = state.parent().unwrap().join("disk/abc");
        let paths = InstancePaths::new(&state, "abc", None);
        elsewhere(paths.clone(), data.clone()).make(&id("default", "abc", "1")).unwrap();
        let (uid, places) = paths.made().unwrap();
        assert_eq!((uid.as_str(), places.len(), &places[2]), ("1", 3, &(RetiredKind::Data, data.clone())));
        let error = paths.remove_made(&state, &state).unwrap_err().to_string();
        assert!(error.contains("was not made for the instance"), "{error}");
        let replaced = paths.home.join("data.before-restore-20261130T020000Z");
        std::fs::create_dir(&replaced).unwrap();
        paths.remove_made(&data, &state).unwrap();
        assert!(!data.exists() && paths.backups.exists());
        std::fs::create_dir(&data).unwrap();
        paths.remove_made(&paths.backups, &state).unwrap();
        paths.remove_made(&paths.data, &state).unwrap();
        paths.remove_made(&data, &state).unwrap();
        assert!(replaced.exists() && !data.exists(), "nobody confirmed that");
        std::fs::remove_dir(&replaced).unwrap();
        paths.remove_made(&paths.data, &state).unwrap();
        assert!(!paths.home.exists(), "nothing is left of it");
    }

    #[test]
    fn what_is_made_is_for_the_own_user_alone() {
        let (_kept, state) = state();
        let paths = InstancePaths::new(&state, "abc", None);
        paths.make(&id("default", "abc", "1")).unwrap();
        drop(paths.open_log().unwrap());
        for (path, mode) in [(&paths.data, 0o700), (&paths.backups, 0o700), (&paths.home, 0o700), (&paths.log, 0o600)] {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{path:?}");
        }
        assert_eq!(std::fs::read_dir(&paths.data).unwrap().count(), 0, "the trial left something behind");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let (_kept, state) = state();
        let file = state.join("file");
        std::fs::write(&file, "").unwrap();
        let paths = elsewhere(InstancePaths::new(&state, "abc", None), file.join("data"));
        let error = paths.make(&id("default", "abc", "1")).unwrap_err().to_string();
        assert!(error.contains(&format!("{} of abc cannot be written", file.join("data").display())), "{error}");
    }

    #[test]
    fn removal_takes_declared_places_along_and_nothing_beside_them() {
        let (_kept, state) = state();
        let data = state.parent().unwrap().join("disk/abc");
        let neighbour = state.parent().unwrap().join("disk/other");
        std::fs::create_dir_all(&neighbour).unwrap();
        let abc = id("default", "abc", "1");
        elsewhere(InstancePaths::new(&state, "abc", None), data.clone()).make(&abc).unwrap();
        // The document, and with it the declared path, is gone by now.
        let paths = InstancePaths::new(&state, "abc", None);
        paths.remove(&abc, &state).unwrap();
        assert!(!data.exists() && !paths.home.exists() && neighbour.exists());
        paths.remove(&abc, &state).unwrap();
    }

    #[test]
    fn removal_of_data_alone_keeps_backups_in_any_place() {
        let (_kept, state) = state();
        let abc = id("default", "abc", "1");
        let paths = InstancePaths::new(&state, "abc", None);
        paths.make(&abc).unwrap();
        paths.remove_data(&abc, &state).unwrap();
        paths.remove_data(&abc, &state).unwrap();
        assert!(!paths.data.exists() && paths.backups.exists());
        InstancePaths { backups: paths.data.join("backups"), ..paths.clone() }.make(&abc).unwrap();
        let error = paths.remove_data(&abc, &state).unwrap_err().to_string();
        assert!(error.contains("its backups lie in it") && paths.data.exists(), "{error}");
        assert!(paths.remove_data(&id("default", "abc", "2"), &state).is_err());
    }

    #[test]
    fn removal_refuses_a_directory_with_files_of_others() {
        let (_kept, state) = state();
        let data = state.parent().unwrap().join("shared");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("letter"), "dear").unwrap();
        let abc = id("default", "abc", "1");
        let paths = elsewhere(InstancePaths::new(&state, "abc", None), data.clone());
        paths.make(&abc).unwrap();
        let error = paths.remove(&abc, &state).unwrap_err();
        assert!(error.to_string().contains("held other files before"), "{error}");
        assert!(data.join("letter").exists());
    }

    #[test]
    fn removal_refuses_links_roots_and_data_of_a_namesake() {
        let (_kept, state) = state();
        let abc = id("default", "abc", "1");
        let real = state.parent().unwrap().join("real");
        let link = state.parent().unwrap().join("link");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let plain = InstancePaths::new(&state, "abc", None);
        for data in [PathBuf::from("/"), PathBuf::from("/usr"), link.clone(), link.join("data"), state.clone()] {
            std::fs::create_dir_all(&plain.home).unwrap();
            let record = Record {
                uid: "1".to_owned(),
                data: data.clone(),
                backups: plain.backups.clone(),
                wholly_ours: [data.clone()].into(),
            };
            plain.write_record(&record).unwrap();
            std::fs::create_dir_all(real.join("data")).unwrap();
            let error = plain.remove(&abc, &state).unwrap_err();
            assert!(error.to_string().contains("is not removed"), "{data:?}: {error}");
            assert!(plain.home.exists() && real.exists());
        }
        plain.make(&abc).unwrap();
        let error = plain.remove(&id("default", "abc", "2"), &state).unwrap_err();
        assert!(error.to_string().contains("another instance"), "{error}");
        assert!(plain.data.exists());
    }
}
