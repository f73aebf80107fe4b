//! `mai job` brings a backup back in a directory of its own, starts a server on it if it is ours, and
//! leaves nothing behind, also when it is stopped.

use std::path::Path;

use mai_operator::contract::job::{
    BACKUPS_VOLUME, BackupId, BackupSource, Choice, Destination, DrillOrder, DrillReport, Message, Order, Outcome,
    Progress, Step, Store, Subject,
};
use mai_operator::server::{App, Config, audit::Actor, users};
use rusqlite::Connection;
use rustix::process::Signal;

use super::job::Instance;
use crate::fixtures::process::signal;

fn order(starts_server: bool) -> Order {
    Order::Drill(DrillOrder {
        id: BackupId::new("2026-12-01T02:00:00Z".parse().unwrap(), 1),
        instance: Subject { namespace: "default".into(), name: "alpha".into(), uid: "uid-1".into() },
        source: BackupSource {
            destination: Destination { name: BACKUPS_VOLUME.to_owned(), store: Store::Volume, retention: None },
            namespace: "default".to_owned(),
            name: "alpha".to_owned(),
            choice: Choice::Random(7),
            identity: None,
        },
        starts_server,
    })
}

impl Instance {
    fn drilled(&self, starts_server: bool) -> DrillReport {
        match self.run(&order(starts_server)).outcome() {
            Outcome::Drilled(report) => *report,
            outcome => panic!("{outcome:?}"),
        }
    }
}

/// Makes the data of a server of ours with two people.
fn fill(data: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let app = App::start(Config::for_directory(data)).await.unwrap();
        for name in ["ann", "bob"] {
            let role = users::Role::User;
            let (email, password) = (format!("{name}@example.com"), "a-Long-passw0rd".to_owned().into());
            let new = users::NewUser { name: name.to_owned(), email, password, role };
            users::create(&app.db, &app.passwords, 20, Actor::server(), new).await.unwrap();
        }
        app.close().await;
    });
}

#[test]
fn server_answers_on_the_backup_and_the_data_is_not_needed() {
    let mut instance = Instance::new();
    fill(&instance.data);
    let backup = instance.start().verified();
    let kept = instance.names();
    std::fs::remove_dir_all(&instance.data).unwrap();
    let report = instance.drilled(true);
    assert_eq!((report.backup, report.files, report.databases), (backup.id, backup.files, 1));
    assert_eq!((report.people, report.chats), (Some(2), Some(0)));
    assert_eq!(report.server.unwrap().people, 2);
    assert_eq!(instance.names(), kept);
    assert!(!instance.data.exists());
}

#[test]
fn data_of_another_server_is_counted_and_none_is_started() {
    let mut instance = Instance::new();
    let webui = Connection::open(instance.data.join("webui.db")).unwrap();
    webui
        .execute_batch(
            "CREATE TABLE user (id); INSERT INTO user VALUES (1), (2);
             CREATE TABLE chat (id); INSERT INTO chat VALUES (1), (2), (3);",
        )
        .unwrap();
    instance.start().verified();
    let report = instance.drilled(false);
    assert_eq!((report.rows, report.people, report.chats, report.server), (5, Some(2), Some(3), None));
}

#[test]
fn backup_without_our_database_fails_a_drill() {
    let mut instance = Instance::new();
    std::fs::write(instance.data.join("notes"), "x").unwrap();
    instance.start().verified();
    let kept = instance.names();
    let Outcome::Failed { message } = instance.run(&order(true)).outcome() else { panic!("a server began anew") };
    assert!(message.contains("destination backups") && message.contains("there is no mai.db in it"), "{message}");
    assert_eq!(instance.names(), kept);
}

#[test]
fn stopped_drill_says_so_and_leaves_nothing() {
    let mut instance = Instance::new();
    fill(&instance.data);
    std::fs::File::create(instance.data.join("large")).unwrap().set_len(64 << 20).unwrap();
    instance.start().verified();
    let kept = instance.names();
    for step in [Step::Unpack, Step::Start] {
        let mut job = instance.run(&order(true));
        loop {
            match job.next() {
                Some(Message::Progress(Progress { step: current, .. })) if current == step => break,
                Some(Message::Progress(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        signal(job.process.id(), Signal::TERM);
        let Outcome::Failed { message } = job.outcome() else { panic!("{step:?}: it was not stopped") };
        assert!(message.contains("stopped"), "{message}");
        assert_eq!(instance.names(), kept, "{step:?}");
    }
}
