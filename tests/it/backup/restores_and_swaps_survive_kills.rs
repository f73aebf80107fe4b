//! `mai job` restores a backup beside the data and exchanges the two. Killed at any moment, the same
//! order goes on, and a server refuses data that is half replaced.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mai_operator::contract::ExitCode;
use mai_operator::contract::job::{
    BACKUPS_VOLUME, BackupId, BackupSource, Choice, Destination, Message, Order, Outcome, Progress, RestoreOrder,
    RestoreReport, Step, Store, Subject, SwapOrder, SwapStep,
};
use mai_operator::contract::restores;
use rusqlite::Connection;

use super::job::{Instance, Job};
use crate::fixtures::compose::read_file;
use crate::fixtures::page_commands::commands;

fn id(number: u32) -> BackupId {
    BackupId::new("2026-12-01T02:00:00Z".parse().unwrap(), number)
}

fn restore(number: u32, choice: Choice) -> Order {
    Order::Restore(RestoreOrder {
        id: id(number),
        instance: Subject { namespace: "default".into(), name: "alpha".into(), uid: "uid-1".into() },
        source: BackupSource {
            destination: Destination { name: BACKUPS_VOLUME.to_owned(), store: Store::Volume, retention: None },
            namespace: "default".to_owned(),
            name: "alpha".to_owned(),
            choice,
            identity: None,
        },
        database: None,
        keeps_data: false,
    })
}

fn swap(number: u32, step: SwapStep) -> Order {
    Order::Swap(SwapOrder { id: id(number), restore: id(number), step })
}

/// An instance with a backup of a database of 1,000 rows and of many files, whose data went on.
fn instance() -> Instance {
    let mut instance = Instance::new();
    let server = Connection::open(instance.data.join("mai.db")).unwrap();
    server
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(4000000));")
        .unwrap();
    for number in 0..300 {
        std::fs::write(instance.data.join(format!("file-{number}")), vec![7; 20_000]).unwrap();
    }
    instance.start().verified();
    server.execute_batch("INSERT INTO t VALUES ('newer')").unwrap();
    std::fs::write(instance.data.join("newer"), "x").unwrap();
    drop(server);
    instance
}

impl Instance {
    fn rows(&self) -> i64 {
        let connection = Connection::open(self.data.join("mai.db")).unwrap();
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    fn restores(&self) -> PathBuf {
        self.data.join(restores::DIRECTORY)
    }

    fn restored(&self, order: &Order) -> RestoreReport {
        match self.run(order).outcome() {
            Outcome::Restored(report) => report,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn swapped(&self, order: &Order) {
        assert_eq!(self.run(order).outcome(), Outcome::Swapped);
    }

    /// Runs the commands of the page that bring the former data back.
    fn put_back_by_hand(&self) {
        let page = read_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/restore-by-hand.md"));
        let script = commands(&page, "half-replaced");
        let output =
            Command::new("bash").args(["-euo", "pipefail", "-c", &script]).env("DATA", &self.data).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(restores::unfinished_swap(&self.data).unwrap(), None);
    }

    /// Starts a server on the data and returns its exit code; the mark keeps it from serving.
    fn serve(&self) -> (Option<i32>, String) {
        let mut server = Command::new(env!("CARGO_BIN_EXE_mai"));
        server.arg("serve").env_clear().env("DATA_DIR", &self.data).env("PORT", "0").env("HOST", "127.0.0.1");
        let output = server.stdin(Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn kill(mut job: Job) {
    job.process.kill().unwrap();
    job.process.wait().unwrap();
}

#[test]
fn killed_restore_is_repeated_and_its_part_is_removed() {
    let instance = instance();
    let order = restore(1, Choice::Latest);
    for attempt in 0..6 {
        let mut job = instance.run(&order);
        loop {
            match job.next() {
                Some(Message::Progress(Progress { step: Step::Unpack, .. })) => break,
                Some(Message::Progress(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        std::thread::sleep(Duration::from_millis(attempt * 7));
        kill(job);
        // A server does not notice it.
        assert_eq!((instance.rows(), restores::unfinished_swap(&instance.data).unwrap()), (2, None));
    }
    let report = instance.restored(&order);
    assert_eq!((report.files, report.databases), (301, 1));
    let names = std::fs::read_dir(instance.restores()).unwrap().count();
    assert_eq!((instance.rows(), names), (2, 1));
    instance.swapped(&swap(1, SwapStep::Forward));
    assert_eq!((instance.rows(), instance.data.join("newer").exists()), (1, false));
    instance.swapped(&swap(1, SwapStep::Back));
    assert_eq!((instance.rows(), instance.data.join("newer").exists()), (2, true));
    instance.swapped(&swap(1, SwapStep::Discard));
    assert!(!instance.restores().exists());
}

#[test]
fn killed_swap_goes_on_or_back_and_no_server_starts_meanwhile() {
    let instance = instance();
    let mut refusals = 0;
    for attempt in 0..24_u32 {
        instance.restored(&restore(attempt, Choice::Latest));
        let job = instance.run(&swap(attempt, SwapStep::Forward));
        std::thread::sleep(Duration::from_micros(u64::from(attempt) * 1500));
        kill(job);
        if let Some(mark) = restores::unfinished_swap(&instance.data).unwrap() {
            let (code, error) = instance.serve();
            assert_eq!(code, Some(i32::from(ExitCode::RestoreUnfinished.code())), "{error}");
            assert!(error.contains("half replaced by a restore") && error.contains(mark.to_str().unwrap()), "{error}");
            let Outcome::Failed { message } = instance.run(&swap(attempt, SwapStep::Discard)).outcome() else {
                panic!("a restore in the middle was discarded")
            };
            assert!(message.contains("half replaced"), "{message}");
            refusals += 1;
        }
        if attempt % 3 == 0 && restores::unfinished_swap(&instance.data).unwrap().is_some() {
            instance.put_back_by_hand();
            assert_eq!((instance.rows(), instance.data.join("newer").exists()), (2, true));
        }
        if attempt % 2 == 0 {
            instance.swapped(&swap(attempt, SwapStep::Forward));
            assert_eq!((instance.rows(), instance.data.join("newer").exists()), (1, false));
        }
        instance.swapped(&swap(attempt, SwapStep::Back));
        assert_eq!((instance.rows(), instance.data.join("newer").exists()), (2, true));
        instance.swapped(&swap(attempt, SwapStep::Discard));
    }
    assert!(refusals > 0, "no job was killed in the middle of its swap");
}

#[test]
fn restore_that_is_refused_changes_nothing() {
    let instance = instance();
    for (choice, problem) in [
        (Choice::Id(id(7)), "has no backup 20261201-020000-000007 of default/alpha"),
        (Choice::File("../data.tar".to_owned()), "is no path of an archive"),
        (Choice::File("nothing.tar".to_owned()), "nothing.tar is not in directory"),
    ] {
        let Outcome::Failed { message } = instance.run(&restore(1, choice)).outcome() else { panic!("{problem}") };
        assert!(message.contains(problem), "{message}");
        assert!(!instance.restores().exists());
    }
    let Outcome::Failed { message } = instance.run(&swap(1, SwapStep::Forward)).outcome() else {
        panic!("nothing was swapped in")
    };
    assert!(message.contains("has nothing in the data directory; restore the backup again"), "{message}");
}
