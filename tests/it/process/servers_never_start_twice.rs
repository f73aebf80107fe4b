//! A reconciler may be killed at any point: its attached servers end with it, its detached ones are taken over, and nothing is
//! ever started twice.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mai_operator::runtime::process::running;
use mai_operator::runtime::{Drift, Presence, Runtime};

use crate::fixtures::ports::free_port;
use crate::fixtures::process::{PATIENCE, Place, is_absent, is_ready, open, signal, started, until, workload};

const STATE: &str = "TEST_RECONCILER_STATE_DIR";
const PORT: &str = "TEST_RECONCILER_PORT";
const DETACH: &str = "TEST_RECONCILER_DETACH";
const NOT_EVEN_READY: &str = "TEST_RECONCILER_WAITS_FOR_NOTHING";

/// Starts another process of this test, which plays the reconciler from [`play_reconciler`] on, until it is killed.
fn reconciler(test: &str, state: &Path, port: u16, settings: &[&str]) -> Child {
    let path = module_path!().split_once("::").unwrap().1;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("{path}::{test}"), "--exact", "--nocapture"]).env(STATE, state).env(PORT, port.to_string());
    command.envs(settings.iter().map(|setting| (setting, "true"))).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).spawn().unwrap()
}

/// Plays the reconciler when this is the process for it; never returns then.
async fn play_reconciler() {
    let Ok(state) = std::env::var(STATE) else { return };
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let runtime = open(Path::new(&state), std::env::var(DETACH).is_ok());
    let workload = workload("abc", port);
    if let Err(error) = runtime.start(&workload).await {
        println!("refused: {error}");
    }
    if std::env::var(NOT_EVEN_READY).is_err() {
        until(&runtime, &workload, "ready", is_ready).await;
    }
    println!("done");
    std::future::pending().await
}

/// What a reconciler said up to `done`.
fn said(reconciler: &mut Child) -> String {
    let mut lines = BufReader::new(reconciler.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = String::new();
    for line in &mut lines {
        if line.ends_with("done") {
            return said;
        }
        said += &line;
    }
    panic!("the reconciler ended: {said}");
}

fn kill_9(mut reconciler: Child) {
    reconciler.kill().unwrap();
    reconciler.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_servers_end_when_their_reconciler_is_killed() {
    play_reconciler().await;
    let (place, port) = (Place::new(), free_port());
    let mut first = reconciler("attached_servers_end_when_their_reconciler_is_killed", &place.state, port, &[]);
    said(&mut first);
    let before = running(&place.state).unwrap();
    assert!(before.len() == 1 && before[0].labels.attached);

    kill_9(first);
    // Whoever comes next sees the old server on its way out, waits, and starts a new one on the same port and data.
    let runtime = place.runtime(false);
    let workload = workload("abc", port);
    let seen = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    assert!(matches!(seen.presence, Presence::Stopping | Presence::Absent), "{:?}", seen.presence);
    let gone = until(&runtime, &workload, "absent", is_absent).await;
    assert_eq!(gone.last_exit, None, "that it ended is no failure");
    let pid = started(&place, &runtime, &workload).await;
    assert_ne!(pid, before[0].pid);
    assert_eq!(place.pids(), [pid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_servers_are_taken_over_as_they_are() {
    play_reconciler().await;
    let (place, port) = (Place::new(), free_port());
    let mut first = reconciler("detached_servers_are_taken_over_as_they_are", &place.state, port, &[DETACH]);
    said(&mut first);
    kill_9(first);
    let workload = workload("abc", port);
    let servers = running(&place.state).unwrap();
    assert_eq!(servers.len(), 1);
    for detach in [true, false, true] {
        let runtime = place.runtime(detach);
        let observed = until(&runtime, &workload, "ready", is_ready).await;
        let Presence::Running { drift, since, .. } = observed.presence else { panic!() };
        assert_eq!((drift, since), (Drift::None, servers[0].labels.started_at));
        let error = runtime.start(&workload).await.unwrap_err().to_string();
        assert!(error.contains(&format!("process {} runs for it already", servers[0].pid)), "{error}");
        assert_eq!(running(&place.state).unwrap(), servers);
    }
    // The end of one that another reconciler started is noticed just as fast.
    let runtime = place.runtime(true);
    until(&runtime, &workload, "ready", is_ready).await;
    signal(servers[0].pid, rustix::process::Signal::KILL);
    let killed = Instant::now();
    let observed = until(&runtime, &workload, "absent", is_absent).await;
    assert!(killed.elapsed() < Duration::from_secs(1));
    let exit = observed.last_exit.unwrap();
    assert!(!exit.log_tail.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconciler_that_is_killed_while_it_starts_a_server_leaves_at_most_one() {
    play_reconciler().await;
    let test = "a_reconciler_that_is_killed_while_it_starts_a_server_leaves_at_most_one";
    let (place, port) = (Place::new(), free_port());
    for millis in [0, 5, 10, 15, 20, 30, 40, 60, 80, 120] {
        let first = reconciler(test, &place.state, port, &[DETACH, NOT_EVEN_READY]);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        kill_9(first);
        assert!(place.pids().len() <= 1, "killed after {millis} ms");
    }
    let runtime = place.runtime(true);
    let workload = workload("abc", port);
    // Either it was started by one of them or it is started now; both at once never.
    let found = place.pids();
    if found.is_empty() {
        runtime.start(&workload).await.unwrap();
    }
    until(&runtime, &workload, "ready", is_ready).await;
    let now = place.pids();
    assert!(now.len() == 1 && (found.is_empty() || found == now), "{found:?} {now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_reconciler_beside_a_living_one_starts_nothing_and_ends_nothing() {
    play_reconciler().await;
    let (place, port) = (Place::new(), free_port());
    let mut first =
        reconciler("a_second_reconciler_beside_a_living_one_starts_nothing_and_ends_nothing", &place.state, port, &[]);
    said(&mut first);
    let before = place.pids();
    let runtime = place.runtime(false);
    let workload = workload("abc", port);
    assert!(runtime.start(&workload).await.is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(place.pids(), before);
    kill_9(first);
    until(&runtime, &workload, "absent", is_absent).await;
    assert!(place.pids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_of_a_namesake_with_another_uid_is_never_taken_for_what_is_declared() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let former = workload("abc", free_port());
    started(&place, &runtime, &former).await;
    let mut declared = former.clone();
    declared.id.uid = "another".to_owned();
    let observed = runtime.observe(&declared.id, Some(&declared)).await.unwrap();
    let Presence::Running { drift, .. } = observed.presence else { panic!("{:?}", observed.presence) };
    assert!(matches!(drift, Drift::Replace(_)), "{drift:?}");
    assert!(runtime.start(&declared).await.is_err());
    runtime.stop(&declared.id).await.unwrap();
    assert!(place.pids().is_empty());
    let error = runtime.remove_data(&declared.id).await.unwrap_err().to_string();
    assert!(error.contains("another instance that had the same name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_servers_survive_shutdown_and_attached_ones_do_not() {
    for detach in [true, false] {
        let place = Place::new();
        let workload = workload("abc", free_port());
        let runtime = place.runtime(detach);
        let pid = started(&place, &runtime, &workload).await;
        runtime.shutdown().await.unwrap();
        assert_eq!(place.pids(), if detach { vec![pid] } else { vec![] });
        let error = runtime.start(&workload).await.unwrap_err().to_string();
        assert!(error.contains("shutting down"), "{error}");
        for server in running(&place.state).unwrap() {
            server.end(PATIENCE).await.unwrap();
        }
        assert!(place.pids().is_empty());
    }
}
