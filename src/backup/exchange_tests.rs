use std::cell::Cell;
use std::collections::BTreeMap;

use jiff::Timestamp;
use mai_contract::job::RestoreReport;
use rusqlite::Connection;

use super::*;

/// Point at which an exchange is interrupted, counted in its steps.
#[derive(Default)]
pub(super) struct Interruption(Cell<Option<u32>>);

impl Interruption {
    pub(super) fn pass(&self) -> Result<(), BackupError> {
        match self.0.get() {
            Some(0) => Err(BackupError::Stopped),
            left => {
                self.0.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

/// A data directory with a database whose newest rows are in its write-ahead log, and restored data.
struct Place {
    directory: tempfile::TempDir,
    id: BackupId,
}

type Files = BTreeMap<String, Vec<u8>>;

fn write(top: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = top.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// Returns the files of a directory, but those of the place.
fn files(top: &Path) -> Files {
    let mut found = Files::new();
    let mut pending = vec![top.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            if OF_THE_PLACE.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                pending.push(path);
            } else {
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = Self { directory, id: BackupId::new(Timestamp::UNIX_EPOCH, 1) };
        let data = place.data();
        write(&data, &[("mai.db", "former"), ("mai.db-wal", "its log"), ("uploads/a", "1"), ("lost+found/x", "")]);
        place.unpack(&place.id);
        place
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn places(&self) -> Places {
        let path = |name: &str| self.directory.path().join(name);
        std::fs::create_dir_all(path("backups")).unwrap();
        Places { data: path("data"), backups: path("backups"), secrets: path("secrets"), staging: path("staging") }
    }

    fn unpack(&self, id: &BackupId) {
        let directory = RestoreDirectory::new(&self.data(), id);
        directory.make_own().unwrap();
        write(&directory.unpacked(), &[("mai.db", "restored"), ("uploads/b", "2"), ("new.txt", "3")]);
        let report = RestoreReport {
            id: id.clone(),
            backup: None,
            taken_at: None,
            data_bytes: 10,
            files: 3,
            databases: 1,
            replaces_data: true,
            remarks: Vec::new(),
        };
        directory.write_report(&report).unwrap();
    }

    fn exchange(&self, steps: Option<u32>) -> Exchange {
        let exchange = Exchange::new(&self.data(), &self.id);
        exchange.interruption.0.set(steps);
        exchange
    }

    fn swap(&self, step: SwapStep) -> Result<(), String> {
        let order = SwapOrder { id: self.id.clone(), restore: self.id.clone(), step };
        swap(&order, &self.places(), &Progress::silent()).map_err(|error| error.to_string())
    }

    fn kept(&self, name: &str) -> Files {
        let path = RestoreDirectory::new(&self.data(), &self.id).former().with_file_name(name);
        if path.exists() { files(&path) } else { Files::new() }
    }
}

fn former() -> Files {
    [("mai.db", "former"), ("mai.db-wal", "its log"), ("uploads/a", "1")]
        .map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()))
        .into()
}

fn restored() -> Files {
    [("mai.db", "restored"), ("uploads/b", "2"), ("new.txt", "3")]
        .map(|(name, content)| (name.to_owned(), content.as_bytes().to_vec()))
        .into()
}

#[test]
fn swap_goes_forward_and_back_and_may_be_repeated() {
    let place = Place::new();
    for _ in 0..2 {
        place.swap(SwapStep::Forward).unwrap();
        assert_eq!((files(&place.data()), place.kept("former")), (restored(), former()));
        assert!(place.data().join("lost+found/x").exists());
        assert_eq!(restores::unfinished_swap(&place.data()).unwrap(), None);
    }
    // What was written since goes with the restored data.
    write(&place.data(), &[("mai.db-wal", "newer log")]);
    for _ in 0..2 {
        place.swap(SwapStep::Back).unwrap();
        assert_eq!(files(&place.data()), former());
        assert_eq!((place.kept("new"), place.kept("former"), place.kept("removed")), Default::default());
    }
    let refused = place.swap(SwapStep::Forward).unwrap_err();
    assert!(refused.contains("was taken back"), "{refused}");
    for _ in 0..2 {
        place.swap(SwapStep::Discard).unwrap();
        assert!(!place.data().join(restores::DIRECTORY).exists());
    }
    let refused = place.swap(SwapStep::Forward).unwrap_err();
    assert!(refused.contains("has nothing in the data directory"), "{refused}");
    place.swap(SwapStep::Back).unwrap();
}

#[test]
fn discard_keeps_the_present_data_alone() {
    let place = Place::new();
    place.swap(SwapStep::Discard).unwrap();
    assert_eq!(files(&place.data()), former());
    let place = Place::new();
    place.swap(SwapStep::Forward).unwrap();
    place.swap(SwapStep::Discard).unwrap();
    assert_eq!(files(&place.data()), restored());
    assert!(!place.data().join(restores::DIRECTORY).exists());
}

/// Interrupts `first` at each of its steps, and then does `second`.
fn interrupted(
    prepare: impl Fn(&Place),
    first: impl Fn(&Exchange) -> Result<(), BackupError>,
    second: SwapStep,
    check: impl Fn(&Place),
) {
    let mut marked = 0;
    for steps in 0.. {
        let place = Place::new();
        prepare(&place);
        let is_done = first(&place.exchange(Some(steps))).is_ok();
        if restores::unfinished_swap(&place.data()).unwrap().is_some() {
            marked += 1;
            let refused = place.swap(SwapStep::Discard).unwrap_err();
            assert!(refused.contains("is half replaced"), "{refused}");
        } else {
            // A server may start: all of the data is one or the other.
            assert!([former(), restored()].contains(&files(&place.data())), "{:?}", files(&place.data()));
        }
        place.swap(second).unwrap();
        check(&place);
        assert_eq!(restores::unfinished_swap(&place.data()).unwrap(), None);
        if is_done {
            assert!(steps > 6 && marked > 5, "{steps} steps, {marked} with a mark");
            return;
        }
    }
}

fn is_forward(place: &Place) {
    assert_eq!((files(&place.data()), place.kept("former")), (restored(), former()));
}

fn is_back(place: &Place) {
    assert_eq!((files(&place.data()), place.kept("former"), place.kept("new")), (former(), Files::new(), Files::new()));
}

#[test]
fn swap_interrupted_anywhere_goes_on_or_back() {
    interrupted(|_| (), Exchange::forward, SwapStep::Forward, is_forward);
    interrupted(|_| (), Exchange::forward, SwapStep::Back, is_back);
    interrupted(|place| place.swap(SwapStep::Forward).unwrap(), Exchange::back, SwapStep::Back, is_back);
}

#[test]
fn failed_swap_leaves_the_data_as_it_was() {
    for steps in 0..8 {
        let place = Place::new();
        let exchange = place.exchange(Some(steps));
        let error = exchange.forward().unwrap_err();
        exchange.interruption.0.set(None);
        let error = exchange.give_up(error).to_string();
        assert!(error.ends_with("the data is what it was before"), "{error}");
        assert_eq!(restores::unfinished_swap(&place.data()).unwrap(), None);
        assert_eq!(
            (files(&place.data()), place.kept("new"), place.kept("former")),
            (former(), restored(), Files::new())
        );
        place.swap(SwapStep::Forward).unwrap();
        is_forward(&place);
    }
}

#[test]
fn entry_that_somebody_made_meanwhile_is_replaced_by_nothing() {
    let place = Place::new();
    // All of the former data is moved out.
    place.exchange(Some(6)).forward().unwrap_err();
    write(&place.data(), &[("new.txt", "in the way")]);
    for step in [SwapStep::Forward, SwapStep::Back] {
        let error = place.swap(step).unwrap_err();
        assert!(error.contains("new.txt is in the way"), "{error}");
        assert!(restores::unfinished_swap(&place.data()).unwrap().is_some());
    }
    std::fs::remove_file(place.data().join("new.txt")).unwrap();
    place.swap(SwapStep::Back).unwrap();
    is_back(&place);
}

#[test]
fn swap_is_refused_while_a_server_has_the_data() {
    let place = Place::new();
    let held = LockFile::acquire(&place.data().join(LOCK), 0o600, "7").unwrap();
    for step in [SwapStep::Forward, SwapStep::Back] {
        let refused = place.swap(step).unwrap_err();
        assert!(refused.contains("in use by another process (7)"), "{refused}");
    }
    assert_eq!(files(&place.data()), former());
    drop(held);
    place.swap(SwapStep::Forward).unwrap();
}

#[test]
fn later_restores_are_taken_back_first() {
    let mut place = Place::new();
    place.swap(SwapStep::Forward).unwrap();
    let first = std::mem::replace(&mut place.id, BackupId::new(Timestamp::UNIX_EPOCH, 2));
    place.unpack(&place.id);
    place.exchange(Some(4)).forward().unwrap_err();
    let second = std::mem::replace(&mut place.id, first);
    for step in [SwapStep::Forward, SwapStep::Back] {
        let refused = place.swap(step).unwrap_err();
        assert!(refused.contains(&format!("half replaced by restore {second}")), "{refused}");
    }
    let first = std::mem::replace(&mut place.id, second);
    place.swap(SwapStep::Forward).unwrap();
    let second = std::mem::replace(&mut place.id, first);
    let refused = place.swap(SwapStep::Back).unwrap_err();
    assert!(refused.contains(&format!("{second} came after it")), "{refused}");
    let first = std::mem::replace(&mut place.id, second);
    place.swap(SwapStep::Back).unwrap();
    place.id = first;
    place.swap(SwapStep::Back).unwrap();
    assert_eq!(files(&place.data()), former());
}

#[test]
fn backups_and_mounts_in_the_data_keep_it_where_it_is() {
    let place = Place::new();
    let mut places = place.places();
    places.backups = places.data.join("backups");
    std::fs::create_dir(&places.backups).unwrap();
    let refused = expect_exchangeable(&places).unwrap_err().to_string();
    assert!(refused.contains("holds the backups") && refused.contains("spec.storage.backups"), "{refused}");
    let root = Places { data: PathBuf::from("/"), backups: PathBuf::from("/"), ..place.places() };
    assert!(expect_exchangeable(&root).is_err());
}

#[test]
fn write_ahead_log_stays_with_its_database() {
    let place = Place::new();
    for name in ["mai.db", "mai.db-wal"] {
        std::fs::remove_file(place.data().join(name)).unwrap();
    }
    let open = |path: &Path| {
        let connection = Connection::open(path.join("mai.db")).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE IF NOT EXISTS chat (text);",
            )
            .unwrap();
        connection
    };
    let rows =
        |path: &Path| -> i64 { open(path).query_row("SELECT count(*) FROM chat", [], |row| row.get(0)).unwrap() };
    // A server that was killed leaves its log.
    let copy = place.directory.path().join("running");
    std::fs::create_dir(&copy).unwrap();
    let running = open(&copy);
    running.execute("INSERT INTO chat VALUES ('a')", []).unwrap();
    for name in ["mai.db", "mai.db-wal"] {
        std::fs::copy(copy.join(name), place.data().join(name)).unwrap();
    }
    let new = RestoreDirectory::new(&place.data(), &place.id).unpacked();
    std::fs::remove_file(new.join("mai.db")).unwrap();
    drop(open(&new));
    place.swap(SwapStep::Forward).unwrap();
    assert_eq!(rows(&place.data()), 0);
    place.swap(SwapStep::Back).unwrap();
    assert_eq!(rows(&place.data()), 1);
}
