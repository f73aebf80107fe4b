//! The end of a server is noticed within milliseconds, with its cause; a hanging one fails its
//! probes and can be stopped.

use std::time::{Duration, Instant};

use futures::StreamExt;
use mai_operator::core::{EnvValue, Observed, Presence, Readiness};
use mai_operator::runtime::{Apply, Observe};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::fixtures::measurement;
use crate::fixtures::ports::free_port;
use crate::fixtures::process::{
    PATIENCE, SingleActions, StateDirectory, is_absent, is_ready, signal, start_ready, wait_until, workload,
};

#[tokio::test(flavor = "multi_thread")]
async fn killed_server_is_reported_promptly_with_its_signal() {
    let _turn = measurement::turn().await;
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let mut workload = workload("abc", free_port());
    // So that nothing but the end of the process is noticed.
    workload.probe.interval = Duration::from_secs(3600);
    let mut changes = runtime.changes();
    let before = jiff::Timestamp::now();
    let pid = start_ready(&state, &runtime, &workload).await;
    let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    let Presence::Running { since, readiness } = observed.presence else { panic!("{:?}", observed.presence) };
    assert_eq!(observed.changes, []);
    assert!(since >= before && since <= jiff::Timestamp::now());
    assert_eq!(readiness, Readiness::Ready { version: Some(env!("CARGO_PKG_VERSION").to_owned()) });
    assert_eq!((observed.last_exit, observed.port_holder), (None, None));

    signal(pid, Signal::KILL);
    // Some changes may be those of its start.
    let observed = loop {
        assert_eq!(tokio::time::timeout(PATIENCE, changes.next()).await.unwrap().unwrap(), workload.id);
        let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
        if is_absent(&observed) {
            break observed;
        }
    };
    let exit = observed.last_exit.unwrap();
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert!(!exit.log_tail.is_empty() && exit.log_tail.len() <= 20, "{exit:?}");

    start_ready(&state, &runtime, &workload).await;
    runtime.shutdown().await.unwrap();
    assert!(state.pids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn observation_after_a_kill_shows_no_running_server() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let workload = workload("abc", free_port());
    for _ in 0..5 {
        let pid = start_ready(&state, &runtime, &workload).await;
        let number = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let held = pidfd_open(number, PidfdFlags::empty()).unwrap();
        signal(pid, Signal::KILL);
        poll(&mut [PollFd::new(&held, PollFlags::IN)], None).unwrap();
        let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
        assert_eq!((observed.presence, observed.last_exit.unwrap().signal), (Presence::Absent, Some(9)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn startup_failure_shows_its_log_without_secrets() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let mut workload = workload("abc", free_port());
    let wrong = EnvValue::Plain("nowhere/a-secret-for-tests".to_owned());
    workload.env.insert("MAI_TIME_ZONE".to_owned(), wrong);
    runtime.start(&workload).await.unwrap();
    let exit = wait_until(&runtime, &workload, "absent", is_absent).await.last_exit.unwrap();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    let log = exit.log_tail.join("\n");
    assert!(log.contains("MAI_TIME_ZONE") && log.contains("[secret]"), "{log}");
    assert!(!log.contains("a-secret-for-tests"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_server_fails_its_probes_and_recovers() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let workload = workload("abc", free_port());
    let pid = start_ready(&state, &runtime, &workload).await;
    let mut changes = runtime.changes();
    signal(pid, Signal::STOP);
    let failing = |observed: &Observed| match &observed.presence {
        Presence::Running { readiness: Readiness::Failing { probes, detail }, .. } => {
            assert!(detail.contains("GET /ready"), "{detail}");
            *probes >= 3
        }
        _ => false,
    };
    wait_until(&runtime, &workload, "failing its third probe", failing).await;
    assert_eq!(changes.next().await, Some(workload.id.clone()));
    signal(pid, Signal::CONT);
    wait_until(&runtime, &workload, "ready again", is_ready).await;
    assert_eq!(state.pids(), [pid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_server_exits_cleanly_and_counts_no_failure() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let workload = workload("abc", free_port());
    start_ready(&state, &runtime, &workload).await;
    runtime.stop(&workload.id).await.unwrap();
    let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    assert_eq!((observed.presence, observed.last_exit, observed.port_holder), (Presence::Absent, None, None));
    let log = std::fs::read_to_string(state.log("abc")).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    runtime.stop(&workload.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn server_ignoring_sigterm_is_killed_after_its_grace() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let mut workload = workload("abc", free_port());
    workload.stop_grace = Duration::from_millis(1_500);
    let pid = start_ready(&state, &runtime, &workload).await;
    // A stopped process does not receive SIGTERM.
    signal(pid, Signal::STOP);
    let asked = Instant::now();
    let stopping = runtime.stop(&workload.id);
    let is_stopping = |observed: &Observed| observed.presence == Presence::Stopping;
    let (stopped, _) = tokio::join!(stopping, wait_until(&runtime, &workload, "stopping", is_stopping));
    stopped.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(1_500));
    let observed = runtime.observe(&workload.id, None).await.unwrap();
    assert_eq!((observed.presence, observed.last_exit), (Presence::Absent, None));
    assert!(state.pids().is_empty());
}
