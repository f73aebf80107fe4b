//! A job that is killed or stopped leaves nothing that looks like a backup, and the next one works.

use mai_operator::contract::job::{Message, Outcome, Progress, Step};
use rusqlite::Connection;
use rustix::process::Signal;

use super::job::{Instance, Job};
use crate::fixtures::process::signal;

/// Returns an instance whose backup takes a while.
fn instance() -> Instance {
    let instance = Instance::new();
    let server = Connection::open(instance.data.join("mai.db")).unwrap();
    server
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(8000000));")
        .unwrap();
    for number in 0..4 {
        let file = std::fs::File::create(instance.data.join(format!("file-{number}"))).unwrap();
        file.set_len(8 << 20).unwrap();
    }
    instance
}

/// Waits until a job is in a step.
fn wait_for(job: &mut Job, step: Step) {
    loop {
        match job.next() {
            Some(Message::Progress(Progress { step: current, .. })) if current == step => return,
            Some(Message::Progress(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn killed_job_leaves_no_backup_and_the_next_one_cleans_up() {
    let mut instance = instance();
    for step in [Step::Snapshot, Step::Store] {
        let mut job = instance.start();
        wait_for(&mut job, step);
        job.process.kill().unwrap();
        job.process.wait().unwrap();
        let visible = instance.names().into_iter().filter(|name| name.ends_with(".json") || name.ends_with(".gz"));
        assert_eq!(visible.collect::<Vec<_>>(), [""; 0], "{step:?}");
    }
    let report = instance.start().verified();
    let id = report.id;
    assert_eq!(instance.names(), [format!("{id}.json"), format!("{id}.tar.gz"), format!("{id}.verified.json")]);
}

#[test]
fn stopped_job_says_so_and_leaves_nothing() {
    let mut instance = instance();
    for step in [Step::Snapshot, Step::Store] {
        let mut job = instance.start();
        wait_for(&mut job, step);
        signal(job.process.id(), Signal::TERM);
        let Outcome::Failed { message } = job.outcome() else { panic!("{step:?}: it was not stopped") };
        assert!(message.contains("stopped"), "{message}");
        assert_eq!(instance.names(), [""; 0], "{step:?}");
    }
}

#[test]
fn second_job_is_refused_while_one_works() {
    let mut instance = instance();
    let mut first = instance.start();
    wait_for(&mut first, Step::Store);
    signal(first.process.id(), Signal::STOP);
    let second = instance.start();
    let pid = first.process.id();
    let Outcome::Failed { message } = second.outcome() else { panic!("two jobs worked at once") };
    assert!(message.contains(&format!("process {pid}")), "{message}");
    signal(pid, Signal::CONT);
    first.verified();
}
