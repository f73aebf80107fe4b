//! Restores and swaps from end to end, on real databases.

use mai_contract::files::LOCK as SERVER_LOCK;
use mai_contract::job::{Choice, Order, Outcome, RestoreOrder, RestoreReport, ServerReport, SwapOrder, SwapStep};
use mai_contract::restores;

use super::sources::rows;
use super::*;
use crate::drill::TrialServer;
use crate::run::run as run_order;

/// Starts no server.
struct NoServer;

impl TrialServer for NoServer {
    async fn try_on(&self, _: &Path, _: &Progress) -> Result<ServerReport, String> {
        Err("there is none".to_owned())
    }
}

fn restore_id() -> BackupId {
    BackupId::new("2026-12-01T02:00:00Z".parse().unwrap(), 9)
}

impl Instance {
    fn restore_order(&self, choice: Choice) -> RestoreOrder {
        RestoreOrder {
            id: restore_id(),
            instance: self.order.instance.clone(),
            source: self.source(choice),
            database: None,
            keeps_data: false,
        }
    }

    async fn restore(&self, order: &RestoreOrder) -> Result<RestoreReport, String> {
        match run_order(&Order::Restore(order.clone()), &self.places, &Progress::silent(), &NoServer).await {
            Outcome::Restored(report) => Ok(report),
            Outcome::Failed { message } => Err(message),
            other => Err(format!("{other:?}")),
        }
    }

    async fn swap(&self, step: SwapStep) -> Result<(), String> {
        let order = Order::Swap(SwapOrder { id: restore_id(), restore: restore_id(), step });
        match run_order(&order, &self.places, &Progress::silent(), &NoServer).await {
            Outcome::Swapped => Ok(()),
            Outcome::Failed { message } => Err(message),
            other => Err(format!("{other:?}")),
        }
    }

    fn restores(&self) -> PathBuf {
        self.places.data.join(restores::DIRECTORY)
    }

    fn rows(&self) -> i64 {
        rows(&self.places.data.join("mai.db"))
    }
}

#[tokio::test]
async fn restore_waits_beside_the_data_until_it_is_swapped_in() {
    let mut instance = Instance::new();
    instance.back_up_as(1).await;
    instance.back_up_as(2).await;
    std::fs::write(instance.places.data.join("newer"), "x").unwrap();
    let order = instance.restore_order(Choice::Latest);
    let report = instance.restore(&order).await.unwrap();
    assert_eq!((report.id.clone(), report.files, report.databases), (restore_id(), 1, 1));
    assert_eq!((report.remarks.len(), report.backup.clone()), (0, Some(instance.order.id.clone())));
    let mode = instance.restores().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // Repeated it has nothing to do, and answers the same.
    assert_eq!(instance.restore(&order).await.unwrap(), report);

    // Writes go on meanwhile, and a backup has no part of it.
    let third = instance.back_up_as(3).await;
    let names = Command::new("tar").arg("tzf").arg(instance.places.backups.join(format!("{third}.tar.gz"))).output();
    let names = String::from_utf8(names.unwrap().stdout).unwrap();
    assert!(names.contains("data/newer") && !names.contains("restore"), "{names}");
    assert_eq!(instance.summary().files, 2);

    instance.swap(SwapStep::Forward).await.unwrap();
    assert_eq!((instance.rows(), instance.places.data.join("newer").exists()), (2, false));
    let refused = instance.restore(&order).await.unwrap_err();
    assert!(refused.contains("has replaced data already"), "{refused}");
    instance.swap(SwapStep::Back).await.unwrap();
    assert_eq!((instance.rows(), instance.places.data.join("newer").exists()), (3, true));
    instance.swap(SwapStep::Discard).await.unwrap();
    assert!(!instance.restores().exists());
}

#[tokio::test]
async fn data_that_is_to_be_kept_is_neither_read_nor_replaced() {
    let mut instance = Instance::new();
    instance.back_up_as(1).await;
    let order = RestoreOrder { keeps_data: true, ..instance.restore_order(Choice::Latest) };
    assert_eq!(instance.restore(&order).await.unwrap_err(), "DataKept");
    assert!(!instance.restores().exists());
    std::fs::remove_dir_all(&instance.places.data).unwrap();
    std::fs::create_dir(&instance.places.data).unwrap();
    assert_eq!(instance.restore(&order).await.unwrap().files, 1);
}

#[tokio::test]
async fn data_directory_without_data_is_restored_into() {
    let mut instance = Instance::new();
    instance.back_up_as(1).await;
    std::fs::remove_dir_all(&instance.places.data).unwrap();
    std::fs::create_dir(&instance.places.data).unwrap();
    let mut order = instance.restore_order(Choice::Latest);
    order.instance.uid = "another".to_owned();
    let report = instance.restore(&order).await.unwrap();
    assert_eq!(report.remarks, ["it is the data of default/alpha"]);
    instance.swap(SwapStep::Forward).await.unwrap();
    assert_eq!(instance.rows(), 1);
}

#[tokio::test]
async fn failed_restore_leaves_the_data_as_it_was() {
    let mut instance = Instance::new();
    let id = instance.back_up_as(1).await;
    let archive = instance.places.backups.join(format!("{id}.tar.gz"));
    let intact = std::fs::read(&archive).unwrap();
    std::fs::write(&archive, &intact[..intact.len() / 2]).unwrap();
    let order = instance.restore_order(Choice::Latest);
    let refused = instance.restore(&order).await.unwrap_err();
    assert!(refused.contains("is cut off"), "{refused}");
    assert!(!instance.restores().exists());

    // A job that was killed left a part.
    std::fs::write(&archive, &intact).unwrap();
    for id in [restore_id(), BackupId::new(Timestamp::UNIX_EPOCH, 1)] {
        let unfinished = instance.restores().join(id.as_str()).join("new");
        std::fs::create_dir_all(&unfinished).unwrap();
        std::fs::write(unfinished.join("mai.db"), "half").unwrap();
    }
    let refused = instance.swap(SwapStep::Forward).await.unwrap_err();
    assert!(refused.contains("was not unpacked to the end"), "{refused}");
    instance.restore(&order).await.unwrap();
    let left: Vec<_> =
        std::fs::read_dir(instance.restores()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [restore_id().as_str()]);

    std::fs::remove_dir_all(instance.restores()).unwrap();
    symlink(instance.directory.path(), instance.restores()).unwrap();
    let refused = instance.restore(&order).await.unwrap_err();
    assert!(refused.contains("something that is no directory is in its place"), "{refused}");
}

#[tokio::test]
async fn archive_that_has_a_restore_in_it_is_refused() {
    let mut instance = Instance::new();
    std::fs::create_dir(instance.places.data.join("uploads")).unwrap();
    let id = instance.back_up_as(1).await;
    let unpacked = instance.unpack(&instance.places.backups.join(format!("{id}.tar.gz")));
    std::fs::rename(unpacked.join("data/uploads"), unpacked.join("data").join(restores::DIRECTORY)).unwrap();
    let forged = instance.places.backups.join("forged.tar.gz");
    run(Command::new("tar").arg("czf").arg(&forged).arg("-C").arg(&unpacked).args([
        "data",
        "SHA256SUMS",
        "manifest.json",
    ]));
    let refused =
        instance.restore(&instance.restore_order(Choice::File("forged.tar.gz".to_owned()))).await.unwrap_err();
    assert!(refused.contains(".mai-restore\" does not belong into a backup"), "{refused}");
}

#[tokio::test]
async fn full_volume_is_told_before_a_restore_and_meanwhile() {
    let mut instance = Instance::new();
    let server = instance.database("mai.db", 1);
    server.execute_batch("CREATE TABLE blob AS SELECT randomblob(8000000) AS content").unwrap();
    drop(server);
    instance.back_up_as(1).await;
    let small = instance.directory.path().join("small");
    let Some(_volume) = SmallVolume::mount(&small, 18 << 20) else { return };
    instance.places.data = small.clone();
    std::fs::write(small.join("present"), "data").unwrap();
    let order = instance.restore_order(Choice::Latest);
    let refused = instance.restore(&order).await.unwrap_err();
    assert!(refused.contains("is full") && refused.contains("MiB needed"), "{refused}");
    assert!(!instance.restores().exists());

    // Taken after the room was asked for.
    let Some(_larger) = SmallVolume::mount(&small, 28 << 20) else { return };
    let filler = std::fs::File::create(small.join("taken")).unwrap();
    let progress = Progress::new(move |report| {
        if format!("{:?}", report.step) == "Unpack" {
            let filler = filler.try_clone().unwrap();
            std::thread::spawn(move || std::io::Write::write_all(&mut &filler, &vec![1; 26 << 20]).ok()).join().ok();
        }
    });
    let outcome = run_order(&Order::Restore(order), &instance.places, &progress, &NoServer).await;
    let Outcome::Failed { message } = outcome else { unreachable!("{outcome:?}") };
    assert!(message.contains("full") || message.contains("No space left"), "{message}");
    assert!(!instance.restores().exists());
}

#[tokio::test]
async fn swap_needs_no_room_on_a_full_volume() {
    let mut instance = Instance::new();
    instance.back_up_as(1).await;
    let small = instance.directory.path().join("small");
    let Some(_volume) = SmallVolume::mount(&small, 20 << 20) else { return };
    instance.places.data = small.clone();
    std::fs::write(small.join("present"), "data").unwrap();
    instance.restore(&instance.restore_order(Choice::Latest)).await.unwrap();
    drop(std::fs::File::create(small.join(SERVER_LOCK)).unwrap());
    let mark = instance.restores().join("swap.former");
    std::fs::write(&mark, restore_id().as_str()).unwrap();
    std::fs::create_dir(instance.restores().join(restore_id().as_str()).join("former")).unwrap();
    let mut filler = std::fs::File::create(small.join("filler")).unwrap();
    while std::io::Write::write_all(&mut filler, &[1; 4096]).is_ok() {}
    // Else its room is not free again once it is removed.
    drop(filler);
    instance.swap(SwapStep::Forward).await.unwrap();
    assert!(small.join("mai.db").exists() && !small.join("filler").exists());
    instance.swap(SwapStep::Discard).await.unwrap();
    assert_eq!(instance.rows(), 1);
}

#[tokio::test]
async fn no_backup_is_made_of_half_replaced_data() {
    let mut instance = Instance::new();
    instance.back_up_as(1).await;
    instance.restore(&instance.restore_order(Choice::Latest)).await.unwrap();
    std::fs::write(instance.restores().join("swap.former"), restore_id().as_str()).unwrap();
    let refused = instance.back_up().await.unwrap_err().to_string();
    assert!(refused.contains("is half replaced by restore"), "{refused}");
    let refused = instance.restore(&instance.restore_order(Choice::Latest)).await.unwrap_err();
    assert!(refused.contains("is half replaced by restore"), "{refused}");
    instance.swap(SwapStep::Back).await.unwrap();
    instance.back_up().await.unwrap();
}
