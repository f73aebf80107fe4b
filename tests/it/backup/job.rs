//! Orders and processes of jobs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use mai_operator::contract::job::{
    BACKUPS_VOLUME, BackupId, BackupOrder, BackupReport, Destination, Message, Order, Outcome, Retention, Store,
    StoreResult, Subject,
};
use tempfile::TempDir;

/// An instance without a server.
pub struct Instance {
    directory: TempDir,
    pub data: PathBuf,
    pub backups: PathBuf,
    number: u32,
}

impl Instance {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        Self { data: place("data"), backups: place("backups"), directory, number: 0 }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a job that makes the next backup.
    pub fn start(&mut self) -> Job {
        self.number += 1;
        let order = Order::Backup(BackupOrder {
            id: BackupId::new("2026-11-30T02:00:00Z".parse().unwrap(), self.number),
            instance: Subject { namespace: "default".into(), name: "alpha".into(), uid: "uid-1".into() },
            reason: "a test".to_owned(),
            image: None,
            document: serde_json::json!({}),
            secrets: Vec::new(),
            encryption: None,
            destinations: vec![Destination {
                name: BACKUPS_VOLUME.to_owned(),
                store: Store::Volume,
                retention: Some(Retention { last: 3, ..Retention::default() }),
            }],
            time_zone: "Europe/Warsaw".to_owned(),
        });
        self.run(&order)
    }

    /// Starts a job of an order.
    pub fn run(&self, order: &Order) -> Job {
        let file = self.path("order.json");
        std::fs::write(&file, serde_json::to_vec(order).unwrap()).unwrap();
        Job::start(&file, &self.data, &self.backups, &self.path("message"))
    }

    /// Returns what is among the backups, hidden files included, except the lock.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.backups).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != ".mai-job.lock").collect();
        names.sort();
        names
    }
}

/// A running job.
pub struct Job {
    pub process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    message: PathBuf,
}

impl Job {
    fn start(order: &Path, data: &Path, backups: &Path, message: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_mai"))
            .arg("job")
            .args([Path::new("--order"), order, Path::new("--data"), data, Path::new("--backups"), backups])
            .args([Path::new("--secrets"), Path::new("/nonexistent")])
            .args([Path::new("--termination-message"), message])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines, message: message.to_owned() }
    }

    /// Returns the next message; None when it has closed its output.
    pub fn next(&mut self) -> Option<Message> {
        let line = self.lines.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}")))
    }

    /// Waits for its end. The outcome is its last line, the termination message and the exit code.
    pub fn outcome(mut self) -> Outcome {
        let mut last = None;
        while let Some(message) = self.next() {
            last = Some(message);
        }
        let status = self.process.wait().unwrap();
        let Some(Message::Outcome(outcome)) = last else { panic!("{status}: {last:?}") };
        assert_eq!(status.code(), Some(i32::from(matches!(outcome, Outcome::Failed { .. }))));
        let message = std::fs::read(&self.message).unwrap();
        assert_eq!(serde_json::from_slice::<Message>(&message).unwrap(), Message::Outcome(outcome.clone()));
        outcome
    }

    /// Waits for a verified backup.
    pub fn verified(self) -> BackupReport {
        match self.outcome() {
            Outcome::Backup(report) if report.destinations[0].result == StoreResult::Verified => report,
            outcome => panic!("{outcome:?}"),
        }
    }
}
