//! A reconciler can be killed at any moment: attached servers stop with it, detached ones are
//! adopted by the next, and no server is started twice.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mai_operator::core::{Effect, Presence};
use mai_operator::runtime::process::running_servers;
use mai_operator::runtime::{Apply, Observe};

use crate::fixtures::ports::free_port;
use crate::fixtures::process::{
    PATIENCE, SingleActions, StateDirectory, is_absent, is_ready, open, signal, start_ready, wait_until, workload,
};

const STATE: &str = "TEST_RECONCILER_STATE_DIR";
const PORT: &str = "TEST_RECONCILER_PORT";
const DETACH: &str = "TEST_RECONCILER_DETACH";
const WITHOUT_READINESS: &str = "TEST_RECONCILER_WITHOUT_READINESS";

/// Starts this test again in another process, which is the reconciler from [`run_reconciler`] on,
/// wait_until it is killed.
fn spawn_reconciler(test: &str, state: &Path, port: u16, settings: &[&str]) -> Child {
    let path = module_path!().split_once("::").unwrap().1;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("{path}::{test}"), "--exact", "--nocapture"]).env(STATE, state).env(PORT, port.to_string());
    command.envs(settings.iter().map(|setting| (setting, "true"))).stdout(Stdio::piped()).stderr(Stdio::null());
    command.process_group(0).spawn().unwrap()
}

/// In a process of [`spawn_reconciler`], starts the server and never returns; elsewhere does
/// nothing.
async fn run_reconciler() {
    let Ok(state) = std::env::var(STATE) else { return };
    let port = std::env::var(PORT).unwrap().parse().unwrap();
    let runtime = open(Path::new(&state), std::env::var(DETACH).is_ok());
    let workload = workload("abc", port);
    if let Err(error) = runtime.start(&workload).await {
        println!("refused: {error}");
    }
    if std::env::var(WITHOUT_READINESS).is_err() {
        wait_until(&runtime, &workload, "ready", is_ready).await;
    }
    println!("done");
    std::future::pending().await
}

/// Waits wait_until a reconciler prints `done`; returns its output before that.
fn wait_done(reconciler: &mut Child) -> String {
    let mut lines = BufReader::new(reconciler.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut output = String::new();
    for line in &mut lines {
        if line.ends_with("done") {
            return output;
        }
        output += &line;
    }
    panic!("the reconciler ended: {output}");
}

fn kill_9(mut reconciler: Child) {
    reconciler.kill().unwrap();
    reconciler.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_server_stops_when_its_reconciler_is_killed() {
    run_reconciler().await;
    let (state, port) = (StateDirectory::new(), free_port());
    let mut first = spawn_reconciler("attached_server_stops_when_its_reconciler_is_killed", &state.path, port, &[]);
    wait_done(&mut first);
    let before = running_servers(&state.path).unwrap();
    assert!(before.len() == 1 && before[0].labels.attached);

    kill_9(first);
    // The next reconciler observes the old server stopping, waits, and starts a new one on the same
    // port and data.
    let runtime = state.runtime(false);
    let workload = workload("abc", port);
    let seen = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    assert!(matches!(seen.presence, Presence::Stopping | Presence::Absent), "{:?}", seen.presence);
    let gone = wait_until(&runtime, &workload, "absent", is_absent).await;
    assert_eq!(gone.last_exit, None, "that it ended is no failure");
    let pid = start_ready(&state, &runtime, &workload).await;
    assert_ne!(pid, before[0].pid);
    assert_eq!(state.pids(), [pid]);
}

#[tokio::test(flavor = "multi_thread")]
async fn detached_server_is_adopted_unchanged() {
    run_reconciler().await;
    let (state, port) = (StateDirectory::new(), free_port());
    let mut first = spawn_reconciler("detached_server_is_adopted_unchanged", &state.path, port, &[DETACH]);
    wait_done(&mut first);
    kill_9(first);
    let workload = workload("abc", port);
    let servers = running_servers(&state.path).unwrap();
    assert_eq!(servers.len(), 1);
    for detach in [true, false, true] {
        let runtime = state.runtime(detach);
        let observed = wait_until(&runtime, &workload, "ready", is_ready).await;
        let Presence::Running { since, .. } = observed.presence else { panic!() };
        assert_eq!((observed.changes, since), (vec![], servers[0].labels.started_at));
        let error = runtime.start(&workload).await.unwrap_err().to_string();
        assert!(error.contains(&format!("process {} runs for it already", servers[0].pid)), "{error}");
        assert_eq!(running_servers(&state.path).unwrap(), servers);
    }
    // The end of a server that another reconciler started is noticed as well.
    let runtime = state.runtime(true);
    wait_until(&runtime, &workload, "ready", is_ready).await;
    signal(servers[0].pid, rustix::process::Signal::KILL);
    let observed = wait_until(&runtime, &workload, "absent", is_absent).await;
    let exit = observed.last_exit.unwrap();
    assert!(!exit.log_tail.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciler_killed_during_start_leaves_at_most_one_server() {
    run_reconciler().await;
    let test = "reconciler_killed_during_start_leaves_at_most_one_server";
    let (state, port) = (StateDirectory::new(), free_port());
    for millis in [0, 5, 10, 15, 20, 30, 40, 60, 80, 120] {
        let first = spawn_reconciler(test, &state.path, port, &[DETACH, WITHOUT_READINESS]);
        tokio::time::sleep(Duration::from_millis(millis)).await;
        kill_9(first);
        assert!(state.pids().len() <= 1, "killed after {millis} ms");
    }
    let runtime = state.runtime(true);
    let workload = workload("abc", port);
    // It was started by one of them or is started now, but never twice.
    let found = state.pids();
    if found.is_empty() {
        runtime.start(&workload).await.unwrap();
    }
    wait_until(&runtime, &workload, "ready", is_ready).await;
    let now = state.pids();
    assert!(now.len() == 1 && (found.is_empty() || found == now), "{found:?} {now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_reconciler_starts_and_stops_nothing() {
    run_reconciler().await;
    let (state, port) = (StateDirectory::new(), free_port());
    let mut first = spawn_reconciler("concurrent_reconciler_starts_and_stops_nothing", &state.path, port, &[]);
    wait_done(&mut first);
    let before = state.pids();
    let runtime = state.runtime(false);
    let workload = workload("abc", port);
    assert!(runtime.start(&workload).await.is_err());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(state.pids(), before);
    kill_9(first);
    wait_until(&runtime, &workload, "absent", is_absent).await;
    assert!(state.pids().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_with_same_name_and_other_uid_is_not_adopted() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let former = workload("abc", free_port());
    start_ready(&state, &runtime, &former).await;
    let mut declared = former.clone();
    declared.id.uid = "another".to_owned();
    let observed = runtime.observe(&declared.id, Some(&declared)).await.unwrap();
    assert!(matches!(observed.presence, Presence::Running { .. }), "{:?}", observed.presence);
    assert_eq!(observed.effect(), Some(Effect::Recreate));
    assert!(runtime.start(&declared).await.is_err());
    runtime.stop(&declared.id).await.unwrap();
    assert!(state.pids().is_empty());
    let error = runtime.remove_data(&declared.id).await.unwrap_err().to_string();
    assert!(error.contains("another instance that had the same name"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_stops_attached_and_keeps_detached_servers() {
    for detach in [true, false] {
        let state = StateDirectory::new();
        let workload = workload("abc", free_port());
        let runtime = state.runtime(detach);
        let pid = start_ready(&state, &runtime, &workload).await;
        runtime.shutdown().await.unwrap();
        assert_eq!(state.pids(), if detach { vec![pid] } else { vec![] });
        let error = runtime.start(&workload).await.unwrap_err().to_string();
        assert!(error.contains("shutting down"), "{error}");
        for server in running_servers(&state.path).unwrap() {
            server.end(PATIENCE).await.unwrap();
        }
        assert!(state.pids().is_empty());
    }
}
