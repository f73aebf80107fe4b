//! Sources of restores: which backup is chosen, and which are refused.

use mai_contract::job::{BackupSource, Choice};
use mai_contract::restores;
use rustix::process::{getegid, geteuid};

use super::*;
use crate::source::{UnpackedSource, unpack_source};

pub(super) fn owner() -> (u32, u32) {
    (geteuid().as_raw(), getegid().as_raw())
}

impl Instance {
    /// Makes a backup of this id, whose database has a row more than the one before.
    pub(super) async fn back_up_as(&mut self, number: u32) -> BackupId {
        let database = self.places.data.join("mai.db");
        let server = if database.exists() { Connection::open(database).unwrap() } else { self.database("mai.db", 0) };
        server.execute("INSERT INTO chat VALUES ('one more')", []).unwrap();
        self.order.id = BackupId::new("2026-11-30T02:00:00Z".parse().unwrap(), number);
        self.places.staging = Places::default_staging(&self.places.backups, &self.order.id);
        assert_eq!(results(&self.back_up().await.unwrap()), [&StoreResult::Verified]);
        self.order.id.clone()
    }

    pub(super) fn source(&self, choice: Choice) -> BackupSource {
        BackupSource {
            destination: self.order.destinations[0].clone(),
            namespace: "default".to_owned(),
            name: "alpha".to_owned(),
            choice,
            identity: None,
        }
    }

    fn target(&self) -> PathBuf {
        self.directory.path().join("into")
    }

    async fn unpack_source(&self, source: &BackupSource) -> Result<UnpackedSource, String> {
        let unpacked = unpack_source(source, &self.places, &self.target(), owner(), &Progress::silent()).await;
        unpacked.map_err(|error| {
            assert!(!self.target().exists(), "a refused source left something behind: {error}");
            error.to_string()
        })
    }

    /// Unpacks a source, and returns the backup and the number of rows in it.
    async fn unpacked(&self, source: &BackupSource) -> (Option<BackupId>, i64) {
        let unpacked = self.unpack_source(source).await.unwrap();
        let rows = rows(&self.target().join("mai.db"));
        std::fs::remove_dir_all(self.target()).unwrap();
        (unpacked.backup, rows)
    }
}

pub(super) fn rows(database: &Path) -> i64 {
    let connection = Connection::open(database).unwrap();
    connection.query_row("SELECT count(*) FROM chat", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn source_names_the_backup_by_choice() {
    let mut instance = Instance::new();
    let (first, second) = (instance.back_up_as(1).await, instance.back_up_as(2).await);
    let third = instance.back_up_as(3).await;
    std::fs::remove_file(instance.places.backups.join(format!("{third}.verified.json"))).unwrap();
    for (choice, backup, rows) in [
        (Choice::Latest, &second, 2),
        (Choice::At(Timestamp::now()), &third, 3),
        (Choice::Id(first.clone()), &first, 1),
        (Choice::Random(4), &first, 1),
        (Choice::Random(7), &second, 2),
        (Choice::File(format!("{third}.tar.gz")), &third, 3),
    ] {
        let found = instance.unpacked(&instance.source(choice.clone())).await;
        assert_eq!(found, (Some(backup.clone()), rows), "{choice:?}");
    }
    let early = instance.source(Choice::At(Timestamp::UNIX_EPOCH));
    let refused = instance.unpack_source(&early).await.unwrap_err();
    assert!(
        refused.contains("has no backup that was taken at 1970") && refused.contains("it has 3 of them"),
        "{refused}"
    );
}

#[tokio::test]
async fn backups_of_other_instances_are_refused_by_name() {
    let mut instance = Instance::new();
    let id = instance.back_up_as(1).await;
    let mut source = instance.source(Choice::Latest);
    source.name = "beta".to_owned();
    let refused = instance.unpack_source(&source).await.unwrap_err();
    assert!(refused.contains("no verified backup of default/beta") && refused.contains("default/alpha"), "{refused}");
    source.choice = Choice::Id(id.clone());
    let refused = instance.unpack_source(&source).await.unwrap_err();
    assert!(refused.contains("is one of default/alpha, not of default/beta"), "{refused}");
    // By its path anybody's may be had.
    source.choice = Choice::File(format!("{id}.tar.gz"));
    assert_eq!(instance.unpacked(&source).await, (Some(id.clone()), 1));

    // One that was swapped for another instance's.
    let other = Instance::new();
    let archive = format!("{id}.tar.gz");
    let mut other = Instance {
        order: BackupOrder {
            instance: Subject { name: "beta".into(), ..other.order.instance.clone() },
            ..other.order.clone()
        },
        ..other
    };
    assert_eq!(other.back_up_as(1).await, id);
    std::fs::copy(other.places.backups.join(&archive), instance.places.backups.join(&archive)).unwrap();
    for choice in [Choice::Latest, Choice::File(archive)] {
        let refused = instance.unpack_source(&instance.source(choice)).await.unwrap_err();
        assert!(refused.contains(&format!("archive {id}.tar.gz")), "{refused}");
    }
}

#[tokio::test]
async fn source_below_a_directory_is_read_without_making_anything() {
    let mut instance = Instance::new();
    let disk = instance.directory.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    instance.order.destinations[0] =
        Destination { name: "disk".into(), store: Store::Directory(disk.clone()), retention: None };
    let refused = instance.unpack_source(&instance.source(Choice::Latest)).await.unwrap_err();
    assert!(refused.contains("default is not in directory"), "{refused}");
    assert_eq!(std::fs::read_dir(&disk).unwrap().count(), 0);
    let id = instance.back_up_as(1).await;
    assert_eq!(instance.unpacked(&instance.source(Choice::Latest)).await, (Some(id.clone()), 1));
    let path = format!("default/alpha/{id}.tar.gz");
    assert_eq!(instance.unpacked(&instance.source(Choice::File(path))).await, (Some(id.clone()), 1));
    symlink(disk.join("default"), disk.join("link")).unwrap();
    for (path, problem) in [
        (format!("/default/alpha/{id}.tar.gz"), "is no path of an archive"),
        ("default/../x.tar.gz".to_owned(), "is no path of an archive"),
        (String::new(), "is no path of an archive"),
        (format!("link/alpha/{id}.tar.gz"), "could not be opened"),
        ("default/alpha/other.tar".to_owned(), "other.tar is not in directory"),
        ("default/alpha".to_owned(), "is not a plain file"),
    ] {
        let refused = instance.unpack_source(&instance.source(Choice::File(path.clone()))).await.unwrap_err();
        assert!(refused.contains(problem), "{path}: {refused}");
    }
}

#[tokio::test]
async fn archive_without_a_summary_is_restored_by_its_path() {
    let mut instance = Instance::new();
    let id = instance.back_up_as(1).await;
    let name = "brought from elsewhere.tar.gz";
    std::fs::rename(instance.places.backups.join(format!("{id}.tar.gz")), instance.places.backups.join(name)).unwrap();
    let source = instance.source(Choice::File(name.to_owned()));
    assert_eq!(instance.unpacked(&source).await, (Some(id), 1));

    // A data directory as tar packs it, with a write-ahead log and what belongs to its place.
    let server = instance.database("webui.db", 3);
    let kept = instance.places.data.join(restores::DIRECTORY).join("20261130-020000-000001/former");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join("webui.db"), "kept").unwrap();
    std::fs::write(instance.places.data.join(LOCK), "7").unwrap();
    run(Command::new("tar")
        .arg("czf")
        .arg(instance.places.backups.join("open-webui.tgz"))
        .arg("-C")
        .arg(instance.directory.path())
        .arg("data"));
    drop(server);
    let source = instance.source(Choice::File("open-webui.tgz".to_owned()));
    let unpacked = instance.unpack_source(&source).await.unwrap();
    assert_eq!((unpacked.backup.as_ref(), unpacked.counts().databases), (None, 2));
    assert_eq!(rows(&instance.target().join("webui.db")), 3);
    for name in [LOCK, restores::DIRECTORY, "data"] {
        assert!(!instance.target().join(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn encrypted_source_needs_its_identity() {
    let mut instance = Instance::new();
    let (key, other) = (x25519::Identity::generate(), x25519::Identity::generate());
    for (name, content) in [
        ("session-key", "s3cret"),
        ("identity", key.to_string().expose_secret()),
        ("other", other.to_string().expose_secret()),
    ] {
        std::fs::write(instance.places.secrets.join(name), content).unwrap();
    }
    instance.order.encryption =
        Some(Encryption { recipients: vec![key.to_public().to_string()], identity: Some("identity".to_owned()) });
    let id = instance.back_up_as(1).await;
    for choice in [Choice::Latest, Choice::File(format!("{id}.tar.gz.age"))] {
        let mut source = instance.source(choice);
        let refused = instance.unpack_source(&source).await.unwrap_err();
        assert!(refused.contains("the archive is encrypted to age1"), "{refused}");
        for (identity, problem) in [("other", "does not open the archive"), ("missing", "missing could not be read")] {
            source.identity = Some(identity.to_owned());
            let refused = instance.unpack_source(&source).await.unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
        source.identity = Some("identity".to_owned());
        assert_eq!(instance.unpacked(&source).await, (Some(id.clone()), 1));
    }
}

#[tokio::test]
async fn damaged_source_is_refused_before_anything_is_kept() {
    let mut instance = Instance::new();
    let id = instance.back_up_as(1).await;
    let archive = instance.places.backups.join(format!("{id}.tar.gz"));
    let intact = std::fs::read(&archive).unwrap();
    let mut flipped = intact.clone();
    flipped[intact.len() / 2] ^= 1;
    for (content, problem) in [
        (&intact[..intact.len() - 1], "is cut off"),
        (&flipped[..], "was changed after it was stored"),
        (&b"not an archive"[..], "is cut off"),
    ] {
        std::fs::write(&archive, content).unwrap();
        let refused = instance.unpack_source(&instance.source(Choice::Latest)).await.unwrap_err();
        assert!(refused.contains(problem), "{refused}");
    }
    // Nothing tells more than the archive itself.
    std::fs::write(instance.places.backups.join("plain.tar.gz"), &flipped).unwrap();
    let refused = instance.unpack_source(&instance.source(Choice::File("plain.tar.gz".to_owned()))).await.unwrap_err();
    assert!(refused.contains("the archive cannot be used"), "{refused}");
}
