//! Backups from end to end, into directories.

#[path = "restore_order_tests.rs"]
mod restore_orders;
#[path = "source_tests.rs"]
mod sources;

use std::fs::OpenOptions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use age::x25519;
use jiff::Timestamp;
use mai_contract::files::LOCK;
use mai_contract::job::{
    BackupId, BackupOrder, BackupReport, Destination, Encryption, Retention, Store, StoreResult, Subject,
};
use rusqlite::Connection;
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::encryption::Identity;
use crate::manifest::Manifest;
use crate::summary::Summary;
use crate::{BackupError, Places, Progress, create, lock_backups};

/// An instance with data and a place for backups.
struct Instance {
    directory: TempDir,
    places: Places,
    order: BackupOrder,
}

impl Instance {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let id = BackupId::new("2026-11-30T02:00:00Z".parse().unwrap(), 1);
        let backups = place("backups");
        let staging = Places::default_staging(&backups, &id);
        let places = Places { data: place("data"), backups, secrets: place("secrets"), staging };
        let subject = Subject { namespace: "default".into(), name: "alpha".into(), uid: "uid-1".into() };
        let order = BackupOrder {
            id,
            instance: subject,
            reason: "a test".to_owned(),
            image: Some("mai:1".to_owned()),
            document: json!({"kind": "MaiInstance"}),
            secrets: vec!["session-key".to_owned()],
            encryption: None,
            destinations: vec![Destination { name: "backups".into(), store: Store::Volume, retention: None }],
            time_zone: "Europe/Warsaw".to_owned(),
        };
        Self { directory, places, order }
    }

    /// Makes a database with this many rows, whose newest are in its write-ahead log only.
    fn database(&self, path: &str, rows: u32) -> Connection {
        let connection = Connection::open(self.places.data.join(path)).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE chat (text TEXT);")
            .unwrap();
        for row in 0..rows {
            connection.execute("INSERT INTO chat VALUES (?)", [format!("chat {row}")]).unwrap();
        }
        connection
    }

    async fn back_up(&self) -> Result<BackupReport, BackupError> {
        create(&self.order, &self.places, &Progress::silent()).await
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.places.backups).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".mai-job.lock")
            .collect();
        names.sort();
        names
    }

    fn summary(&self) -> Summary {
        let file = self.places.backups.join(format!("{}.json", self.order.id));
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    /// Unpacks an archive with `tar` and checks it with `sha256sum`.
    fn unpack(&self, archive: &Path) -> PathBuf {
        let target = self.directory.path().join("unpacked");
        std::fs::create_dir(&target).unwrap();
        run(Command::new("tar").arg("xzpf").arg(archive).arg("-C").arg(&target));
        run(Command::new("sha256sum").args(["--quiet", "--strict", "-c", "SHA256SUMS"]).current_dir(&target));
        target
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn results(report: &BackupReport) -> Vec<&StoreResult> {
    report.destinations.iter().map(|destination| &destination.result).collect()
}

#[tokio::test]
async fn archive_is_restored_by_tar_and_checked_by_sha256sum() {
    let instance = Instance::new();
    let data = &instance.places.data;
    let _server = instance.database("mai.db", 3);
    std::fs::create_dir_all(data.join("uploads/deep")).unwrap();
    let long = format!("uploads/{}", "n".repeat(200));
    for name in ["uploads/deep/letter", "uploads/a\nb", "uploads/c\\d", "uploads/\u{17c}", long.as_str(), LOCK] {
        std::fs::write(data.join(name), name).unwrap();
    }
    std::fs::set_permissions(data.join("uploads/deep/letter"), PermissionsExt::from_mode(0o640)).unwrap();
    std::fs::write(data.join("sparse"), "x").unwrap();
    OpenOptions::new().write(true).open(data.join("sparse")).unwrap().set_len(3 << 20).unwrap();
    symlink("/etc/passwd", data.join("link")).unwrap();
    let _socket = UnixListener::bind(data.join("socket")).unwrap();
    // Left by a job that was killed.
    std::fs::create_dir(instance.places.backups.join(".staging-20261129-020000-000001")).unwrap();

    let report = instance.back_up().await.unwrap();
    assert_eq!(results(&report), [&StoreResult::Verified]);
    assert_eq!((report.files, report.databases, report.destinations[0].kept), (7, 1, 1));
    assert_eq!(report.remarks, ["data/socket is a socket and is left out"]);
    let id = instance.order.id.as_str();
    assert_eq!(instance.names(), [format!("{id}.json"), format!("{id}.tar.gz"), format!("{id}.verified.json")]);

    let archive = instance.places.backups.join(format!("{id}.tar.gz"));
    let summary = instance.summary();
    let content = std::fs::read(&archive).unwrap();
    assert_eq!(summary.archive.sha256, hex::encode(Sha256::digest(&content)));
    assert_eq!((summary.archive.bytes, summary.archive.bytes), (content.len() as u64, report.archive_bytes));
    assert_eq!(summary.missing_secrets, ["session-key"]);
    let target = instance.unpack(&archive);
    for name in ["uploads/a\nb", "uploads/c\\d", "uploads/\u{17c}", long.as_str()] {
        assert_eq!(std::fs::read_to_string(target.join("data").join(name)).unwrap(), name);
    }
    assert_eq!(std::fs::read_link(target.join("data/link")).unwrap(), Path::new("/etc/passwd"));
    let mode = target.join("data/uploads/deep/letter").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    for left_out in ["mai.db-wal", "mai.db-shm", LOCK, "socket"] {
        assert!(target.join("data").join(left_out).symlink_metadata().is_err(), "{left_out}");
    }
    let restored = Connection::open(target.join("data/mai.db")).unwrap();
    assert_eq!(restored.query_row("SELECT count(*) FROM chat", [], |row| row.get::<_, i64>(0)).unwrap(), 3);
    assert!(std::fs::read_to_string(target.join("instance/document.json")).unwrap().contains("MaiInstance"));
    let text = std::fs::read(target.join("manifest.json")).unwrap();
    assert_eq!(summary.manifest_sha256, hex::encode(Sha256::digest(&text)));
    let manifest: Manifest = serde_json::from_slice(&text).unwrap();
    assert_eq!((manifest.exceptions.len(), manifest.links.len()), (1, 1));
    let listed = Command::new("tar").arg("tzf").arg(&archive).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.ends_with("instance/document.json\nSHA256SUMS\nmanifest.json\n"), "{listed}");
}

#[tokio::test]
async fn encrypted_archive_holds_the_secrets() {
    let mut instance = Instance::new();
    let _server = instance.database("mai.db", 1);
    let key = x25519::Identity::generate();
    let other = x25519::Identity::generate();
    std::fs::write(instance.places.secrets.join("session-key"), "s3cret\n").unwrap();
    std::fs::write(instance.places.secrets.join("identity"), key.to_string().expose_secret()).unwrap();
    let recipients = vec![other.to_public().to_string(), key.to_public().to_string()];
    instance.order.encryption =
        Some(Encryption { recipients: recipients.clone(), identity: Some("identity".to_owned()) });
    let report = instance.back_up().await.unwrap();
    assert_eq!(results(&report), [&StoreResult::Verified]);
    assert_eq!((instance.summary().recipients, instance.summary().missing_secrets), (recipients, vec![]));
    let archive = std::fs::read(instance.places.backups.join(format!("{}.tar.gz.age", instance.order.id))).unwrap();
    assert!(archive.starts_with(b"age-encryption.org/v1"));
    let identity = Identity::parse(other.to_string().expose_secret()).unwrap();
    let plain = instance.directory.path().join("plain.tar.gz");
    std::io::copy(&mut identity.decrypt(&archive[..]).unwrap(), &mut std::fs::File::create(&plain).unwrap()).unwrap();
    let target = instance.unpack(&plain);
    assert_eq!(std::fs::read_to_string(target.join("instance/secrets/session-key")).unwrap(), "s3cret\n");
}

#[tokio::test]
async fn without_identity_only_the_checksum_is_claimed() {
    let mut instance = Instance::new();
    let _server = instance.database("mai.db", 1);
    let recipients = vec![x25519::Identity::generate().to_public().to_string()];
    instance.order.encryption = Some(Encryption { recipients, identity: None });
    let missing = instance.back_up().await.unwrap_err().to_string();
    assert!(missing.contains("session-key could not be read"), "{missing}");
    std::fs::write(instance.places.secrets.join("session-key"), "s3cret").unwrap();
    let report = instance.back_up().await.unwrap();
    assert!(matches!(results(&report)[..], [StoreResult::Intact(how_far)] if how_far.contains("names no identity")));
}

#[tokio::test]
async fn damaged_upload_is_kept_and_damaged_database_fails() {
    let instance = Instance::new();
    let _server = instance.database("mai.db", 1);
    let data = &instance.places.data;
    std::fs::create_dir(data.join("uploads")).unwrap();
    let damaged = [b"SQLite format 3\0".as_slice(), &[7; 5000]].concat();
    std::fs::write(data.join("uploads/export.sqlite"), &damaged).unwrap();
    let report = instance.back_up().await.unwrap();
    assert_eq!((results(&report), report.databases), (vec![&StoreResult::Verified], 1));
    assert!(report.remarks[0].contains("uploads/export.sqlite is not a readable SQLite database"), "{report:?}");
    let pipe = data.join("uploads/export.sqlite-journal");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let report = instance.back_up().await.unwrap();
    assert!(report.remarks.iter().any(|remark| remark.contains("beside it is no regular file")), "{report:?}");
    std::fs::write(data.join("webui.db"), &damaged).unwrap();
    let error = instance.back_up().await.unwrap_err().to_string();
    assert!(error.contains("webui.db could not be copied"), "{error}");
}

#[tokio::test]
async fn destination_that_fails_leaves_the_others_alone() {
    let mut instance = Instance::new();
    let _server = instance.database("mai.db", 1);
    let missing = instance.directory.path().join("nowhere");
    instance.order.destinations.push(Destination {
        name: "disk".into(),
        store: Store::Directory(missing),
        retention: Some(Retention::default()),
    });
    let report = instance.back_up().await.unwrap();
    assert_eq!(*results(&report)[0], StoreResult::Verified);
    assert!(matches!(results(&report)[1], StoreResult::Failed(problem) if problem.contains("nowhere")), "{report:?}");
    instance.order.destinations.remove(0);
    let error = instance.back_up().await.unwrap_err().to_string();
    assert!(error.contains("no destination took the backup: disk: ") && error.contains("nowhere"), "{error}");
}

#[tokio::test]
async fn second_job_is_refused_by_the_name_of_the_first() {
    let instance = Instance::new();
    let _lock = lock_backups(&instance.places.backups, "backup 1 of process 7").unwrap();
    let error = instance.back_up().await.unwrap_err().to_string();
    assert!(error.contains("backup 1 of process 7"), "{error}");
    assert!(instance.names().is_empty());
}

#[tokio::test]
async fn stopped_job_leaves_nothing_behind() {
    let instance = Instance::new();
    let _server = instance.database("mai.db", 100);
    std::fs::write(instance.places.data.join("file"), vec![1; 1 << 20]).unwrap();
    // At each step, when it is reported.
    for stop_at in ["Snapshot", "Store"] {
        let own = std::sync::Arc::new(std::sync::OnceLock::<Progress>::new());
        let shared = own.clone();
        let progress = Progress::new(move |report| {
            if format!("{:?}", report.step) == stop_at {
                shared.get().unwrap().stop();
            }
        });
        own.set(progress.clone()).unwrap();
        let result = create(&instance.order, &instance.places, &progress).await;
        assert!(matches!(result, Err(BackupError::Stopped)), "{stop_at}: {result:?}");
        assert!(instance.names().is_empty(), "{stop_at}: {:?}", instance.names());
    }
}

/// A small file system in memory.
struct SmallVolume(PathBuf);

impl SmallVolume {
    /// Mounts it, which root alone may.
    fn mount(path: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "small"]).arg(path).output().unwrap();
        if !mounted.status.success() {
            eprintln!("SKIPPED: a small volume cannot be mounted here: {}", String::from_utf8_lossy(&mounted.stderr));
            return None;
        }
        Some(Self(path.to_owned()))
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test]
async fn full_volumes_are_told_before_anything_is_written() {
    let mut instance = Instance::new();
    let server = instance.database("mai.db", 1);
    server.execute_batch("CREATE TABLE blob AS SELECT randomblob(8000000) AS content").unwrap();
    let small = instance.directory.path().join("small");
    let Some(_volume) = SmallVolume::mount(&small, 18 << 20) else { return };
    // A reserve of 16 MiB stays free.
    instance.places.staging = small.join("staging");
    let error = instance.back_up().await.unwrap_err();
    assert!(matches!(&error, BackupError::Full { path, .. } if path.starts_with(&small)), "{error}");
    assert!(instance.names().is_empty() && !instance.places.staging.exists());

    instance.places.staging = instance.directory.path().join("staging");
    let roomy = std::mem::replace(&mut instance.places.backups, small.clone());
    let error = instance.back_up().await.unwrap_err();
    assert!(matches!(&error, BackupError::Full { path, .. } if *path == small), "{error}");
    assert!(instance.names().is_empty() && !instance.places.staging.exists());

    // Another destination goes on without it.
    let disk = Destination { name: "disk".into(), store: Store::Directory(roomy), retention: None };
    instance.order.destinations.push(disk);
    let report = instance.back_up().await.unwrap();
    assert!(matches!(results(&report)[..], [StoreResult::Failed(_), StoreResult::Verified]), "{report:?}");
    assert!(instance.names().is_empty() && !instance.places.staging.exists());
}

#[tokio::test]
async fn volume_that_fills_up_meanwhile_fails_alone() {
    let mut instance = Instance::new();
    // Estimated at half its size, but it does not compress.
    let server = instance.database("mai.db", 1);
    server.execute_batch("CREATE TABLE blob AS SELECT randomblob(30000000) AS content").unwrap();
    let small = instance.directory.path().join("small");
    let Some(_volume) = SmallVolume::mount(&small, 34 << 20) else { return };
    std::fs::write(small.join("filler"), vec![0; 2 << 20]).unwrap();
    instance.places.staging = instance.directory.path().join("staging");
    let roomy = std::mem::replace(&mut instance.places.backups, small.clone());
    instance
        .order
        .destinations
        .insert(0, Destination { name: "disk".into(), store: Store::Directory(roomy), retention: None });
    // Taken after the room was asked for.
    let filler = std::fs::File::create(small.join("taken")).unwrap();
    let progress = Progress::new(move |report| {
        if format!("{:?}", report.step) == "Store" {
            std::io::Write::write_all(&mut &filler, &vec![1; 20 << 20]).ok();
        }
    });
    let report = create(&instance.order, &instance.places, &progress).await.unwrap();
    assert!(
        matches!(results(&report)[..], [StoreResult::Verified, StoreResult::Failed(problem)] if problem.contains("full")),
        "{report:?}"
    );
    assert_eq!(instance.names(), ["filler", "taken"]);
    assert!(report.taken_at < Timestamp::now());
}
