//! A job that is killed or stopped leaves nothing that looks like a backup, and the next one works.

use mai_operator::contract::job::{Message, Outcome, Progress, Step};
use rusqlite::Connection;
use rustix::process::Signal;

use super::job::{Instance, Job};
use crate::fixtures::compose::wait_until;
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

/// Starts a job and stops it in the middle of a step, before anything of its backup shows.
fn hold(instance: &mut Instance, step: Step) -> Job {
    for attempt in 0.. {
        let mut job = instance.start();
        wait_for(&mut job, step);
        let pid = job.process.id();
        signal(pid, Signal::STOP);
        wait_until(|| "its stop".to_owned(), || ["T", "Z"].contains(&state(pid).as_str()).then_some(()));
        if visible(instance).is_empty() {
            return job;
        }
        // It was quicker than this test, so the next one has more to do.
        job.process.kill().unwrap();
        job.process.wait().unwrap();
        instance.names().iter().for_each(|name| std::fs::remove_file(instance.backups.join(name)).unwrap());
        let file = std::fs::File::create(instance.data.join(format!("more-{attempt}"))).unwrap();
        file.set_len(64 << 20).unwrap();
    }
    unreachable!()
}

/// Returns the state of a process, such as `T` for one that is stopped.
fn state(pid: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().next().unwrap().to_owned()
}

/// Returns the files among the backups that belong to one that counts.
fn visible(instance: &Instance) -> Vec<String> {
    instance.names().into_iter().filter(|name| name.ends_with(".json") || name.ends_with(".gz")).collect()
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
        let mut job = hold(&mut instance, step);
        job.process.kill().unwrap();
        job.process.wait().unwrap();
        assert_eq!(visible(&instance), [""; 0], "{step:?}");
    }
    let report = instance.start().verified();
    let id = report.id;
    assert_eq!(instance.names(), [format!("{id}.json"), format!("{id}.tar.gz"), format!("{id}.verified.json")]);
}

#[test]
fn stopped_job_says_so_and_leaves_nothing() {
    let mut instance = instance();
    for step in [Step::Snapshot, Step::Store] {
        let job = hold(&mut instance, step);
        signal(job.process.id(), Signal::TERM);
        signal(job.process.id(), Signal::CONT);
        let Outcome::Failed { message } = job.outcome() else { panic!("{step:?}: it was not stopped") };
        assert!(message.contains("stopped"), "{message}");
        assert_eq!(instance.names(), [""; 0], "{step:?}");
    }
}

#[test]
fn second_job_is_refused_while_one_works() {
    let mut instance = instance();
    let first = hold(&mut instance, Step::Store);
    let second = instance.start();
    let pid = first.process.id();
    let Outcome::Failed { message } = second.outcome() else { panic!("two jobs worked at once") };
    assert!(message.contains(&format!("process {pid}")), "{message}");
    signal(pid, Signal::CONT);
    first.verified();
}
