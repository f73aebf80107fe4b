use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use mai_contract::job::{BackupId, Destination, Store, Subject};
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::*;
use crate::Places;
use crate::encryption::Recipients;
use crate::manifest::{CHECKSUMS, FileEntry, LinkEntry, MANIFEST, Manifest};
use crate::snapshot::{inspect, open_copy};
use crate::summary::{ArchiveInfo, ObjectKind};

/// An archive that a test builds and damages, with its summary, in a directory.
struct Fixture {
    directory: tempfile::TempDir,
    members: Vec<(String, Vec<u8>)>,
    manifest: Manifest,
    recipients: Vec<String>,
    /// Members that are written as they are, before the manifest.
    extra: Vec<(EntryType, String, String, Vec<u8>)>,
    change: fn(&mut Vec<u8>),
    change_summary: fn(&mut Summary),
}

fn id(number: u32) -> BackupId {
    BackupId::new("2026-11-30T02:00:00Z".parse().unwrap(), number)
}

fn subject() -> Subject {
    Subject { namespace: "default".to_owned(), name: "abc".to_owned(), uid: "1".to_owned() }
}

fn sha256(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("backups")).unwrap();
        let manifest = Manifest {
            format: FORMAT,
            id: id(1),
            instance: subject(),
            taken_at: "2026-11-30T02:00:00Z".parse().unwrap(),
            reason: "test".to_owned(),
            image: None,
            mai_version: "0.1.0".to_owned(),
            directories: Vec::new(),
            files: Vec::new(),
            links: Vec::new(),
            exceptions: Vec::new(),
            missing_secrets: Vec::new(),
        };
        let mut fixture = Self {
            directory,
            members: Vec::new(),
            manifest,
            recipients: Vec::new(),
            extra: Vec::new(),
            change: |_| (),
            change_summary: |_| (),
        };
        fixture.add("data/notes.txt", b"hello".to_vec());
        let path = fixture.directory.path().join("new.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("CREATE TABLE t (a); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT hex(randomblob(20)) FROM n;")
            .unwrap();
        connection.close().unwrap();
        fixture.add_database("data/webui.db", &std::fs::read(path).unwrap());
        fixture.add("instance/document.json", b"{}".to_vec());
        fixture
    }

    fn add(&mut self, path: &str, content: Vec<u8>) {
        let entry = FileEntry {
            path: PathBuf::from(path).into(),
            size: content.len() as u64,
            sha256: sha256(&content),
            mode: 0o644,
            database: None,
        };
        self.manifest.files.push(entry);
        self.members.push((path.to_owned(), content));
    }

    fn add_database(&mut self, path: &str, content: &[u8]) {
        let copy = self.directory.path().join("copy.db");
        std::fs::write(&copy, content).unwrap();
        let info = inspect(&open_copy(&copy, None).unwrap()).unwrap();
        self.add(path, content.to_vec());
        self.manifest.files.last_mut().unwrap().database = Some(info);
    }

    fn archive(&self, manifest: &[u8]) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut append = |kind: EntryType, path: &str, target: &str, content: &[u8]| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            if !target.is_empty() {
                header.set_link_name(target).unwrap();
            }
            header.set_cksum();
            builder.append(&header, content).unwrap();
        };
        append(EntryType::Directory, "data/", "", b"");
        for (path, content) in &self.members {
            append(EntryType::Regular, path, "", content);
        }
        for (kind, path, target, content) in &self.extra {
            append(*kind, path, target, content);
        }
        append(EntryType::Regular, CHECKSUMS, "", &self.manifest.checksums());
        append(EntryType::Regular, MANIFEST, "", manifest);
        let archive = builder.into_inner().unwrap().finish().unwrap();
        if self.recipients.is_empty() {
            return archive;
        }
        let mut writer = Recipients::parse(&self.recipients).unwrap().encrypt(Vec::new()).unwrap();
        writer.write_all(&archive).unwrap();
        writer.finish().unwrap()
    }

    /// Stores archive and summary; the changes come after the summary is computed.
    fn store(&self) -> Summary {
        let manifest = serde_json::to_vec(&self.manifest).unwrap();
        let mut archive = self.archive(&manifest);
        let data: Vec<_> = self.manifest.data_files().collect();
        let kind = ObjectKind::Archive { encrypted: !self.recipients.is_empty() };
        let mut summary = Summary {
            format: FORMAT,
            id: self.manifest.id.clone(),
            instance: subject(),
            taken_at: self.manifest.taken_at,
            reason: "test".to_owned(),
            image: None,
            mai_version: "0.1.0".to_owned(),
            archive: ArchiveInfo {
                name: kind.name(&self.manifest.id),
                bytes: archive.len() as u64,
                sha256: sha256(&archive),
            },
            manifest_sha256: sha256(&manifest),
            data_bytes: data.iter().map(|file| file.size).sum(),
            files: data.len() as u64,
            databases: data.iter().filter(|file| file.database.is_some()).count() as u64,
            recipients: self.recipients.clone(),
            missing_secrets: Vec::new(),
        };
        (self.change)(&mut archive);
        (self.change_summary)(&mut summary);
        let place = self.directory.path().join("backups");
        std::fs::write(place.join(&summary.archive.name), archive).unwrap();
        let text = serde_json::to_vec(&summary).unwrap();
        std::fs::write(place.join(ObjectKind::Summary.name(&summary.id)), text).unwrap();
        summary
    }

    async fn open(&self) -> OpenStore {
        let place = self.directory.path();
        let places = Places {
            data: place.join("data"),
            backups: place.join("backups"),
            secrets: place.to_owned(),
            staging: place.join("staging"),
        };
        let destination = Destination { name: "backups".to_owned(), store: Store::Volume, retention: None };
        OpenStore::open(&destination, &subject(), &places).await.unwrap()
    }

    async fn verify(&self, identity: Option<&Identity>) -> Result<Verification, String> {
        let summary = self.store();
        let staging = self.directory.path().join("staging");
        let result = verify(&self.open().await, &summary, identity, &staging, &Progress::silent()).await;
        assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0, "a database was left");
        result.map_err(|error| error.to_string())
    }

    /// Verifies what has to fail; returns the sentence. To unpack it fails for the same cause and
    /// leaves nothing.
    async fn refused(&self) -> String {
        let refused = self.verify(None).await.unwrap_err();
        let into = self.directory.path().join("unpacked");
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let (store, summary) = (self.open().await, self.store());
        let unpacked = crate::restore::unpack_stored(&store, &summary, None, &into, owner, &Progress::silent()).await;
        assert!(!into.exists(), "a part of a refused archive is left");
        assert_eq!(unpacked.unwrap_err().to_string(), refused);
        refused
    }
}

#[tokio::test]
async fn intact_backup_is_verified_to_its_content() {
    let mut fixture = Fixture::new();
    fixture.add("data/line\nend", b"x".to_vec());
    fixture.add("data/empty", Vec::new());
    // An upload that looks like a database is a file.
    fixture.add("data/upload.db", [&b"SQLite format 3\0"[..], &[7; 900]].concat());
    fixture
        .manifest
        .links
        .push(LinkEntry { path: PathBuf::from("data/link").into(), target: PathBuf::from("/nowhere").into() });
    fixture.extra.push((EntryType::Symlink, "data/link".to_owned(), "/nowhere".to_owned(), Vec::new()));
    let verification = fixture.verify(None).await.unwrap();
    assert_eq!((verification.extent, verification.id), (Extent::Content, id(1)));

    let into = fixture.directory.path().join("unpacked");
    let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (store, summary) = (fixture.open().await, fixture.store());
    let unpacked = crate::restore::unpack_stored(&store, &summary, None, &into, owner, &Progress::silent()).await;
    assert_eq!(unpacked.unwrap().manifest.unwrap(), fixture.manifest);
    let read = |name: &str| std::fs::read(into.join(name)).unwrap();
    assert_eq!((read("notes.txt"), read("line\nend")), (b"hello".to_vec(), b"x".to_vec()));
    assert_eq!(read("webui.db"), fixture.members[1].1);
    assert_eq!(std::fs::read_link(into.join("link")).unwrap(), Path::new("/nowhere"));
    assert!(!into.join("instance").exists() && !into.join(MANIFEST).exists());
}

#[tokio::test]
async fn encrypted_backup_is_checked_as_far_as_its_identity_leads() {
    use secrecy::ExposeSecret;
    let mut fixture = Fixture::new();
    let keys: Vec<_> = (0..2).map(|_| age::x25519::Identity::generate()).collect();
    let identity = |key: &age::x25519::Identity| Identity::parse(key.to_string().expose_secret()).unwrap();
    fixture.recipients = vec![keys[0].to_public().to_string()];
    assert_eq!(fixture.verify(Some(&identity(&keys[0]))).await.unwrap().extent, Extent::Content);
    assert_eq!(fixture.verify(None).await.unwrap().extent, Extent::Checksum);
    let error = fixture.verify(Some(&identity(&keys[1]))).await.unwrap_err();
    assert!(error.contains("does not open the archive") && error.contains(&fixture.recipients[0]), "{error}");
    let into = fixture.directory.path().join("unpacked");
    let (store, summary) = (fixture.open().await, fixture.store());
    let refused = crate::restore::unpack_stored(&store, &summary, None, &into, (0, 0), &Progress::silent()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("give the identity") && !into.exists(), "{refused}");
    fixture.change = |archive| {
        let middle = archive.len() / 2;
        archive[middle] ^= 1;
    };
    for key in [None, Some(&identity(&keys[0]))] {
        let error = fixture.verify(key).await.unwrap_err();
        assert!(error.contains("was changed after it was stored"), "{error}");
    }
}

#[tokio::test]
async fn changed_cut_off_and_longer_archives_are_told_apart() {
    let mut fixture = Fixture::new();
    for (change, expected) in [
        ((|archive| archive.truncate(archive.len() / 2)) as fn(&mut Vec<u8>), "is cut off"),
        (|archive| archive.truncate(archive.len() - 1), "is cut off"),
        (Vec::clear, "is cut off: 0 of its"),
        (|archive| archive.push(0), "is longer than"),
        (|archive| archive.extend(vec![7; 1 << 20]), "is longer than"),
        (|archive| archive[40] ^= 1, "was changed after it was stored"),
        (|archive| *archive.last_mut().unwrap() ^= 1, "was changed after it was stored"),
        (
            |archive| {
                let middle = archive.len() / 2;
                archive[middle] ^= 0x10;
            },
            "was changed after it was stored",
        ),
    ] {
        fixture.change = change;
        let error = fixture.refused().await;
        assert!(error.contains(expected) && error.contains("20261130-020000-000001.tar.gz"), "{expected}: {error}");
    }
}

/// Makes the summary fit the archive that is there, as somebody could who may write there.
fn with_matching_summary(archive: &[u8], summary: &mut Summary) {
    summary.archive.bytes = archive.len() as u64;
    summary.archive.sha256 = sha256(archive);
}

#[tokio::test]
async fn archive_of_another_backup_is_refused() {
    let mut fixture = Fixture::new();
    fixture.change_summary = |summary| summary.id = id(2);
    let error = fixture.refused().await;
    assert!(
        error.contains("it is backup 20261130-020000-000001 of default/abc (1), not 20261130-020000-000002"),
        "{error}"
    );
    fixture.change_summary = |summary| summary.instance.uid = "2".to_owned();
    assert!(fixture.refused().await.contains("not 20261130-020000-000001 of default/abc (2)"));
    fixture.change_summary = |summary| summary.manifest_sha256 = sha256(b"other");
    assert!(fixture.refused().await.contains("not the one that the summary was written for"));
    fixture.change_summary = |summary| summary.databases = 2;
    assert!(fixture.refused().await.contains("and its summary says"));
}

#[tokio::test]
async fn manifest_that_differs_from_the_archive_is_refused() {
    let changes: BTreeMap<&str, fn(&mut Fixture)> = BTreeMap::from([
        ("is not in it", (|fixture| drop(fixture.members.remove(0))) as fn(&mut Fixture)),
        ("does not name it", |fixture| {
            let extra = (EntryType::Symlink, "data/more".to_owned(), "x".to_owned(), Vec::new());
            fixture.extra.push(extra);
        }),
        ("data/notes.txt has 4 bytes", |fixture| fixture.members[0].1 = b"hell".to_vec()),
        ("data/notes.txt has the SHA-256", |fixture| fixture.members[0].1 = b"hallo".to_vec()),
        ("has other permissions", |fixture| fixture.manifest.files[0].mode = 0o600),
        ("is in it twice", |fixture| {
            let again = fixture.members[0].clone();
            fixture.members.push(again);
            fixture.change_summary = |summary| summary.data_bytes += 5;
        }),
        ("of format 9", |fixture| fixture.manifest.format = 9),
        ("database data/webui.db is DatabaseInfo", |fixture| {
            fixture.manifest.files[1].database.as_mut().unwrap().rows.insert("t".to_owned(), 5001);
        }),
        ("is no database", |fixture| {
            let info = fixture.manifest.files[1].database.clone();
            fixture.manifest.files[0].database = info;
        }),
    ]);
    for (expected, change) in changes {
        let mut fixture = Fixture::new();
        change(&mut fixture);
        let error = fixture.refused().await;
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[tokio::test]
async fn damaged_database_is_refused_though_its_checksum_is_right() {
    let mut fixture = Fixture::new();
    let mut content = fixture.members[1].1.clone();
    let info = fixture.manifest.files[1].database.clone();
    // A page in the middle of the table.
    let page = content.len() / 4096 / 2 * 4096;
    content[page..page + 200].fill(0xff);
    fixture.add("data/broken.db", content);
    fixture.manifest.files.last_mut().unwrap().database = info;
    let error = fixture.refused().await;
    assert!(error.contains("database data/broken.db is damaged"), "{error}");
}

#[tokio::test]
async fn hostile_members_are_refused_and_write_nothing() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_string_lossy().into_owned();
    for (members, expected) in [
        (vec![(EntryType::Regular, "/tmp/x", "", "x")], "is an absolute path"),
        (vec![(EntryType::Regular, "data/../x", "", "x")], "leads out of the archive"),
        (vec![(EntryType::Link, "data/x", "/etc/passwd", "")], "is a hard link"),
        (vec![(EntryType::Char, "data/x", "", "")], "is a device"),
        (
            vec![(EntryType::Symlink, "data/x", &target, ""), (EntryType::Regular, "data/x/y", "", "x")],
            "behind the link",
        ),
        (
            vec![(EntryType::Symlink, "data/x", &target, ""), (EntryType::Directory, "data/x/y", "", "")],
            "behind the link",
        ),
        (vec![(EntryType::Symlink, "data/x", &target, ""), (EntryType::Regular, "data/x", "", "x")], "is in it twice"),
        (vec![(EntryType::Regular, "data/notes.txt/y", "", "x")], "behind the file"),
        (vec![(EntryType::Regular, "other/x", "", "x")], "does not belong into a backup"),
        (vec![(EntryType::Regular, "data/x", "", "x")], "more than the"),
    ] {
        let mut fixture = Fixture::new();
        if !expected.contains("more than") {
            fixture.change_summary = |summary| {
                summary.data_bytes += 1;
                summary.files += 1;
            };
        }
        for (kind, path, target, content) in members {
            fixture.extra.push((kind, path.to_owned(), target.to_owned(), content.as_bytes().to_vec()));
        }
        let error = fixture.refused().await;
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "something was written through a link");
}

#[tokio::test]
async fn gzip_bomb_ends_at_the_bytes_of_its_summary() {
    let mut fixture = Fixture::new();
    fixture.add("data/zeros", vec![0; 4 << 20]);
    fixture.change_summary = |summary| summary.data_bytes = 1 << 20;
    let error = fixture.refused().await;
    assert!(error.contains("more than the 1048576 bytes of data"), "{error}");
    let mut fixture = Fixture::new();
    fixture.add("data/zeros", vec![0; 1]);
    fixture.change_summary = |summary| summary.files = 1;
    assert!(fixture.refused().await.contains("more than the 1 files"));
}

#[tokio::test]
async fn files_that_are_no_archive_are_refused() {
    for (content, expected) in [
        (&b"<html>404</html>"[..], "no archive made by tar and gzip"),
        (b"", "no archive made by tar and gzip"),
        (b"age-encryption.org/v1\n-> X25519 short\n", "its summary says that it is not"),
        (b"\x1f\x8b\x08\x00garbage that is no gzip", "damaged"),
    ] {
        let fixture = Fixture::new();
        let mut summary = fixture.store();
        with_matching_summary(content, &mut summary);
        std::fs::write(fixture.directory.path().join("backups").join(&summary.archive.name), content).unwrap();
        let staging = fixture.directory.path().join("staging");
        let refused = verify(&fixture.open().await, &summary, None, &staging, &Progress::silent()).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
