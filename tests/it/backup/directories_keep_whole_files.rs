//! Directories as destinations.

use std::fs::File;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use bytes::Bytes;
use jiff::Timestamp;
use mai_backup::store::{OpenStore, Removal, StoreError};
use mai_contract::job::Store;
use rustix::fs::{FlockOperation, flock};

use super::buckets_keep_whole_objects::content;
use crate::fixtures::s3::{Place, read};

#[tokio::test]
async fn file_appears_whole_for_its_owner_alone() {
    let place = Place::directory();
    let store = place.open().await;
    let folder = place.folder();
    let mut upload = store.create("a", 0).await.unwrap();
    upload.write(content(3_000_001)).await.unwrap();
    assert_eq!(store.list().await.unwrap(), []);
    assert!(folder.join("a.partial").exists());
    upload.finish().await.unwrap();
    assert!(!folder.join("a.partial").exists());
    assert!(read(&store, "a").await.unwrap() == content(3_000_001));
    let listed = store.list().await.unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].bytes), ("a", 3_000_001));
    assert!((Timestamp::now() - listed[0].modified).total(jiff::Unit::Second).unwrap() < 60.0);
    let mode = |name: &str| folder.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a"), mode("."), mode("..")), (0o600, 0o700, 0o700));
    store.put("a", Bytes::from_static(b"new")).await.unwrap();
    assert_eq!(read(&store, "a").await.unwrap(), b"new");
    assert_eq!(store.remove("a").await.unwrap(), Removal::Removed);
    assert_eq!(store.remove("a").await.unwrap(), Removal::Removed);
    let missing = read(&store, "a").await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
}

#[tokio::test]
async fn folders_of_a_directory_are_its_instances() {
    let place = Place::directory();
    let Store::Directory(top) = &place.destination.store else { unreachable!() };
    for folder in ["default/alpha", "default/beta", "team/alpha", "_server/host", "default/.hidden", ".git/x"] {
        std::fs::create_dir_all(top.join(folder)).unwrap();
    }
    std::fs::write(top.join("default/note"), "").unwrap();
    symlink(top.join("team"), top.join("link")).unwrap();
    let found = OpenStore::subjects(&place.destination, &place.places()).await.unwrap();
    let found: Vec<_> = found.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    assert_eq!(found, ["_server/host", "default/alpha", "default/beta", "team/alpha"]);
    let missing = Place::directory();
    let Store::Directory(top) = &missing.destination.store else { unreachable!() };
    std::fs::remove_dir(top).unwrap();
    let error = OpenStore::subjects(&missing.destination, &missing.places()).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn unfinished_file_is_removed_now_or_by_the_next() {
    let place = Place::directory();
    let store = place.open().await;
    let entries = || std::fs::read_dir(place.folder()).unwrap().count();
    let mut upload = store.create("a", 0).await.unwrap();
    upload.write(content(10)).await.unwrap();
    upload.abort().await;
    drop(store.create("a", 0).await.unwrap());
    assert_eq!(entries(), 0);
    let (dead, alive, foreign) =
        ("20261130-020000-000001.tar.gz.partial", "20261130-020000-000002.tar.gz.partial", "notes.partial");
    for name in [dead, alive, foreign] {
        std::fs::write(place.folder().join(name), "").unwrap();
    }
    // As another program does that is writing it.
    let writer = File::open(place.folder().join(alive)).unwrap();
    flock(&writer, FlockOperation::LockExclusive).unwrap();
    store.put("b", Bytes::new()).await.unwrap();
    assert!(!place.folder().join(dead).exists());
    assert_eq!(store.remove_interrupted(Timestamp::now()).await.unwrap(), 0);
    drop(writer);
    assert_eq!(store.remove_interrupted(Timestamp::now()).await.unwrap(), 1);
    assert!(place.folder().join(foreign).exists());
}

#[tokio::test]
async fn links_are_not_followed() {
    let (place, outside) = (Place::directory(), tempfile::tempdir().unwrap());
    let store = place.open().await;
    let target = outside.path().join("target");
    std::fs::write(&target, "theirs").unwrap();
    for name in ["a", "b.partial"] {
        symlink(&target, place.folder().join(name)).unwrap();
    }
    assert_eq!(store.list().await.unwrap(), []);
    assert!(read(&store, "a").await.is_err());
    assert!(store.put("b", Bytes::from_static(b"ours")).await.is_err());
    store.put("a", Bytes::from_static(b"ours")).await.unwrap();
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "theirs");
    assert_eq!(read(&store, "a").await.unwrap(), b"ours");
    rustix::fs::mkfifoat(rustix::fs::CWD, place.folder().join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    assert!(matches!(read(&store, "pipe").await, Err(StoreError::Invalid { .. })));
    let mut redirected = Place::directory();
    redirected.destination = place.destination.clone();
    redirected.subject.name = "linked".to_owned();
    symlink(outside.path(), place.folder().parent().unwrap().join("linked")).unwrap();
    assert!(redirected.try_open().await.is_err());
    redirected.subject.name = "..".to_owned();
    assert!(matches!(redirected.try_open().await, Err(StoreError::Invalid { .. })));
}

#[tokio::test]
async fn missing_directory_is_named_and_not_made() {
    let mut place = Place::directory();
    let missing = place.directory.path().join("unmounted");
    place.destination.store = Store::Directory(missing.clone());
    let error = place.try_open().await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("mount the volume"), "{error}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn entries_belong_to_the_owner_of_the_directory() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::directory();
    let Store::Directory(path) = &place.destination.store else { unreachable!() };
    std::os::unix::fs::chown(path, Some(1234), Some(2345)).unwrap();
    let store = place.open().await;
    store.put("a", Bytes::new()).await.unwrap();
    for entry in [path.join("default"), place.folder(), place.folder().join("a")] {
        let found = entry.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (1234, 2345), "{}", entry.display());
    }
}

/// Set where this test runs again with a volume of one MiB there.
const SMALL_VOLUME: &str = "MAI_TEST_SMALL_VOLUME";

#[tokio::test]
async fn full_volume_is_named_and_nothing_is_left_on_it() {
    let Some(volume) = std::env::var_os(SMALL_VOLUME) else { return run_again_with_small_volume() };
    let mut place = Place::directory();
    place.destination.store = Store::Directory(volume.into());
    let store = place.open().await;
    store.put("a", content(500_000)).await.unwrap();
    let mut upload = store.create("b", 0).await.unwrap();
    let failed = async {
        for _ in 0..8 {
            upload.write(content(100_000)).await?;
        }
        upload.finish().await
    };
    let error = failed.await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(error.to_string().ends_with("default/acme is full; free space there or keep fewer backups"), "{error}");
    assert_eq!(std::fs::read_dir(place.folder()).unwrap().count(), 1);
    store.put("c", content(300_000)).await.unwrap();
    assert!(read(&store, "a").await.unwrap() == content(500_000));
}

fn run_again_with_small_volume() {
    let volume = tempfile::tempdir().unwrap();
    let name =
        format!("{}::full_volume_is_named_and_nothing_is_left_on_it", module_path!().split_once("::").unwrap().1);
    let output = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs -o size=1m none \"$0\" && exec \"$@\""])
        .args([volume.path(), &std::env::current_exe().unwrap()])
        .args(["--exact", &name])
        .env(SMALL_VOLUME, volume.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
