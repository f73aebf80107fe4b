//! The end of a server is seen within milliseconds, with its reason; one that hangs is seen by its probes and can be stopped.

use std::time::{Duration, Instant};

use futures::StreamExt;
use mai_operator::runtime::{Drift, Presence, Readiness, Runtime};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::fixtures::measurement;
use crate::fixtures::ports::free_port;
use crate::fixtures::process::{Place, is_absent, is_ready, signal, started, until, workload};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_becomes_ready_and_its_kill_is_told_with_the_signal() {
    let _turn = measurement::turn().await;
    let place = Place::new();
    let runtime = place.runtime(false);
    let workload = workload("abc", free_port());
    let mut changes = runtime.changes();
    let before = jiff::Timestamp::now();
    let pid = started(&place, &runtime, &workload).await;
    let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    let Presence::Running { drift, since, readiness } = observed.presence else { panic!("{:?}", observed.presence) };
    assert_eq!(drift, Drift::None);
    assert!(since >= before && since <= jiff::Timestamp::now());
    assert_eq!(readiness, Readiness::Ready { version: Some(env!("CARGO_PKG_VERSION").to_owned()) });
    assert_eq!((observed.last_exit, observed.port_holder), (None, None));

    // What was told up to here is read, so that the next word is about the kill.
    while tokio::time::timeout(Duration::from_millis(150), changes.next()).await.is_ok() {}
    let killed = Instant::now();
    signal(pid, Signal::KILL);
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), changes.next()).await.unwrap().unwrap(), workload.id);
    assert!(killed.elapsed() < Duration::from_millis(500), "told after {:?}", killed.elapsed());
    let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    assert_eq!(observed.presence, Presence::Absent);
    let exit = observed.last_exit.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert!(!exit.log_tail.is_empty() && exit.log_tail.len() <= 20, "{exit:?}");

    started(&place, &runtime, &workload).await;
    runtime.shutdown().await.unwrap();
    assert!(place.pids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_right_after_a_kill_never_shows_a_running_server() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let workload = workload("abc", free_port());
    for _ in 0..5 {
        let pid = started(&place, &runtime, &workload).await;
        let number = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let held = pidfd_open(number, PidfdFlags::empty()).unwrap();
        signal(pid, Signal::KILL);
        poll(&mut [PollFd::new(&held, PollFlags::IN)], None).unwrap();
        let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
        assert_eq!((observed.presence, observed.last_exit.unwrap().signal), (Presence::Absent, Some(9)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_its_configuration_says_so_in_its_last_words_without_secrets() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let mut workload = workload("abc", free_port());
    let wrong = mai_operator::runtime::EnvValue::Plain("nowhere/a-secret-for-tests".to_owned());
    workload.env.insert("MAI_TIME_ZONE".to_owned(), wrong);
    runtime.start(&workload).await.unwrap();
    let exit = until(&runtime, &workload, "absent", is_absent).await.last_exit.unwrap();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let said = exit.log_tail.join("\n");
    assert!(said.contains("MAI_TIME_ZONE") && said.contains("[secret]"), "{said}");
    assert!(!said.contains("a-secret-for-tests"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_fails_its_probes_and_recovers() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let workload = workload("abc", free_port());
    let pid = started(&place, &runtime, &workload).await;
    let mut changes = runtime.changes();
    signal(pid, Signal::STOP);
    let failing = |observed: &mai_operator::runtime::Observed| match &observed.presence {
        Presence::Running { readiness: Readiness::Failing { probes, detail }, .. } => {
            assert!(detail.contains("GET /ready"), "{detail}");
            *probes >= 3
        }
        _ => false,
    };
    until(&runtime, &workload, "failing its third probe", failing).await;
    assert_eq!(changes.next().await, Some(workload.id.clone()));
    signal(pid, Signal::CONT);
    until(&runtime, &workload, "ready again", is_ready).await;
    assert_eq!(place.pids(), [pid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_stopped_politely_and_its_end_is_no_failure() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let workload = workload("abc", free_port());
    started(&place, &runtime, &workload).await;
    runtime.stop(&workload.id).await.unwrap();
    let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    assert_eq!((observed.presence, observed.last_exit, observed.port_holder), (Presence::Absent, None, None));
    let log = std::fs::read_to_string(place.log("abc")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    runtime.stop(&workload.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_sigterm_is_killed_after_its_grace() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let mut workload = workload("abc", free_port());
    workload.stop_grace = Duration::from_millis(400);
    let pid = started(&place, &runtime, &workload).await;
    // A stopped process does not even see SIGTERM.
    signal(pid, Signal::STOP);
    let asked = Instant::now();
    let stopping = runtime.stop(&workload.id);
    let looking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        runtime.observe(&workload.id, Some(&workload)).await.unwrap().presence
    };
    let (stopped, meanwhile) = tokio::join!(stopping, looking);
    stopped.unwrap();
    assert_eq!(meanwhile, Presence::Stopping);
    assert!(asked.elapsed() >= Duration::from_millis(400) && asked.elapsed() < Duration::from_secs(5));
    let observed = runtime.observe(&workload.id, None).await.unwrap();
    assert_eq!((observed.presence, observed.last_exit), (Presence::Absent, None));
    assert!(place.pids().is_empty());
}
