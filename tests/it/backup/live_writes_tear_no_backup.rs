//! Every backup of a database under constant writes is verified, and no write fails.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use super::job::Instance;

const BACKUPS: u32 = 50;

#[test]
fn backups_during_constant_writes_are_all_verified() {
    let mut instance = Instance::new();
    let path = instance.data.join("mai.db");
    let mut writer = Connection::open(&path).unwrap();
    // What is in both tables at once was written in one transaction.
    writer
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
             CREATE TABLE left_side (id TEXT PRIMARY KEY, text BLOB); CREATE TABLE right_side (id TEXT PRIMARY KEY);",
        )
        .unwrap();
    let is_done = Arc::new(AtomicBool::new(false));
    let told = is_done.clone();
    let write = move || -> rusqlite::Result<u32> {
        let mut commits = 0;
        while !told.load(Ordering::Relaxed) {
            let transaction = writer.transaction()?;
            for _ in 0..10 {
                transaction.execute_batch(
                    "INSERT INTO left_side VALUES (hex(randomblob(16)), zeroblob(400));
                     INSERT INTO right_side SELECT id FROM left_side ORDER BY rowid DESC LIMIT 1;",
                )?;
            }
            // Scattered, so that pages everywhere change.
            transaction.execute("UPDATE left_side SET text = randomblob(400) WHERE rowid % 97 = ?", [commits % 97])?;
            transaction
                .execute("DELETE FROM right_side WHERE rowid <= (SELECT max(rowid) - 2000 FROM right_side)", [])?;
            transaction
                .execute("DELETE FROM left_side WHERE rowid <= (SELECT max(rowid) - 2000 FROM left_side)", [])?;
            transaction.commit()?;
            commits += 1;
            std::thread::sleep(Duration::from_millis(8));
        }
        Ok(commits)
    };
    let writer = std::thread::spawn(write);
    let mut last = None;
    for _ in 0..BACKUPS {
        let report = instance.start().verified();
        assert_eq!((report.files, report.databases, report.remarks.len()), (1, 1, 0));
        let archive = instance.backups.join(format!("{}.tar.gz", report.id));
        let listed = Command::new("tar").arg("xzOf").arg(&archive).arg("manifest.json").output().unwrap();
        let manifest: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let file = manifest["files"].as_array().unwrap().iter().find(|file| file["path"] == "data/mai.db").unwrap();
        let rows = &file["database"]["rows"];
        assert_eq!(rows["left_side"], rows["right_side"], "half a transaction is in it");
        last = Some(report);
    }
    is_done.store(true, Ordering::Relaxed);
    let commits = writer.join().unwrap().unwrap();
    assert!(commits > BACKUPS, "only {commits} commits");
    let kept = &last.unwrap().destinations[0];
    assert_eq!((kept.kept, instance.names().len()), (3, 9), "{:?}", instance.names());
}
