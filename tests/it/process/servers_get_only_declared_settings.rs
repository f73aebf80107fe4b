//! A server gets its declared environment, paths, port and limits, and nothing of the reconciler's;
//! an obstacle is named before a start.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mai_operator::core::{EnvValue, Limits, Presence};
use mai_operator::runtime::process::LimitedBy;
use mai_operator::runtime::{Observe, RuntimeError};

use crate::fixtures::ports::free_port;
use crate::fixtures::process::{
    self, PATIENCE, SingleActions, StateDirectory, is_ready, start_ready, wait_until, workload,
};

#[tokio::test(flavor = "multi_thread")]
async fn server_inherits_no_environment_and_shows_no_secret() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let mut workload = workload("abc", free_port());
    // A document cannot override the name, address or data directory of its server.
    for name in ["MAI_INSTANCE_NAME", "MAI_STATE_DIR", "HOST", "PORT", "DATA_DIR", "MAI_EXIT_WITH_STDIN"] {
        workload.env.insert(name.to_owned(), EnvValue::Plain("8".to_owned()));
    }
    let pid = start_ready(&state, &runtime, &workload).await;
    let environ = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let mut names: Vec<&str> = environ.split('\0').filter_map(|variable| Some(variable.split_once('=')?.0)).collect();
    names.sort_unstable();
    let expected = [
        "DATA_DIR",
        "HOST",
        "MAI_EXIT_WITH_STDIN",
        "MAI_INSTANCE_NAME",
        "MAI_INSTANCE_NAMESPACE",
        "MAI_INSTANCE_UID",
        "MAI_MOCK_UPSTREAM",
        "MAI_STARTED_AT",
        "MAI_STARTED_BY",
        "MAI_STATE_DIR",
        "MAI_WORKLOAD_HASH",
        "PORT",
        "WEBUI_NAME",
        "WEBUI_SECRET_KEY",
    ];
    assert!(std::env::var("PATH").is_ok(), "this test has an environment that could leak");
    assert_eq!(names, expected);
    assert_eq!(std::fs::read(format!("/proc/{pid}/cmdline")).unwrap(), b"mai\0serve\0");
    let open: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| Some(std::fs::read_link(fd.ok()?.path()).ok()?.display().to_string()))
        .filter(|target| target.starts_with('/') && !target.starts_with(state.path.to_str().unwrap()))
        .collect();
    assert!(open.iter().all(|target| target == "/dev/null"), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_port_names_its_holder_before_a_start() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = listener.local_addr().unwrap().port();
    let workload = workload("abc", port);
    let me = std::process::id();
    let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    assert!(observed.port_holder.as_ref().unwrap().ends_with(&format!("(process {me})")), "{observed:?}");
    let error = runtime.start(&workload).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::PortTaken { port: told, .. } if *told == port), "{error}");
    assert!(state.pids().is_empty());
    drop(listener);
    start_ready(&state, &runtime, &workload).await;

    // A server of ours is called by the name of its instance, also when the port is to replace
    // another.
    let mut other = process::workload("other", free_port());
    let pid = start_ready(&state, &runtime, &other).await;
    let mut moved = workload.clone();
    moved.listen = other.listen;
    let observed = runtime.observe(&workload.id, Some(&moved)).await.unwrap();
    assert!(matches!(observed.presence, Presence::Running { .. }));
    assert_eq!(observed.port_holder, Some(format!("the server of other (process {pid})")));
    other.listen = workload.listen;
    runtime.stop(&other.id).await.unwrap();
    let error = runtime.start(&other).await.unwrap_err().to_string();
    assert!(error.contains("is taken by the server of abc (process"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unwritable_data_directory_is_named_before_a_start() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let mut workload = workload("abc", free_port());
    let file = state.path.join("file");
    std::fs::write(&file, "").unwrap();
    workload.data_path = Some(file.join("data"));
    let error = runtime.start(&workload).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::NotWritable { .. }), "{error}");
    assert!(
        error.to_string().contains(&format!("{} of abc cannot be written", file.join("data").display())),
        "{error}"
    );
    assert!(state.pids().is_empty() && !state.log("abc").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_paths_are_removed_only_after_the_server() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let mut workload = workload("abc", free_port());
    let data = state.path.parent().unwrap().join("disk/abc");
    workload.data_path = Some(data.clone());
    start_ready(&state, &runtime, &workload).await;
    assert!(data.join("mai.db").exists());
    let error = runtime.remove_data(&workload.id).await.unwrap_err().to_string();
    assert!(error.contains("still runs") && data.join("mai.db").exists(), "{error}");
    runtime.stop(&workload.id).await.unwrap();
    // A later reconciler without the document removes the declared path as well.
    drop(runtime);
    let runtime = state.runtime(false);
    runtime.remove_data(&workload.id).await.unwrap();
    assert!(!data.exists() && data.parent().unwrap().exists() && !state.path.join("instances/abc").exists());
    runtime.remove_data(&workload.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_limit_is_enforced_by_the_kernel() {
    let state = StateDirectory::new();
    let runtime = state.runtime(false);
    let mut workload = workload("abc", free_port());
    workload.limits = Limits { cpu_millis: None, memory_bytes: Some(512 << 20) };
    let pid = start_ready(&state, &runtime, &workload).await;
    let limit = match runtime.limit_method() {
        LimitedBy::ControlGroup => group_limit(pid),
        LimitedBy::ResourceLimit => {
            let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            let line = limits.lines().find(|line| line.starts_with("Max data size")).unwrap().to_owned();
            line.split_ascii_whitespace().nth(3).unwrap().parse().unwrap()
        }
        other => panic!("{other}"),
    };
    assert_eq!(limit, 512 << 20);
    runtime.stop(&workload.id).await.unwrap();
}

/// Returns the memory limit of the control group of a process, version 1 or 2.
fn group_limit(pid: u32) -> u64 {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let v1 = groups
        .lines()
        .find_map(|line| line.split_once(":memory:"))
        .map(|(_, path)| format!("/sys/fs/cgroup/memory{path}/memory.limit_in_bytes"));
    let v2 =
        groups.lines().find_map(|line| line.strip_prefix("0::")).map(|path| format!("/sys/fs/cgroup{path}/memory.max"));
    std::fs::read_to_string(v1.or(v2).unwrap()).unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_is_rotated_while_the_server_writes() {
    let state = StateDirectory::new();
    let workload = workload("abc", free_port());
    {
        let runtime = state.runtime(true);
        start_ready(&state, &runtime, &workload).await;
    }
    let log = state.log("abc");
    let mut much = std::fs::read(&log).unwrap();
    much.resize(11 << 20, b'x');
    std::fs::write(&log, &much).unwrap();
    // Another reconciler rotates the log of a server it did not start.
    let runtime = state.runtime(true);
    wait_until(&runtime, &workload, "ready", is_ready).await;
    let patience = Instant::now();
    while log.metadata().unwrap().len() > 1 << 20 {
        assert!(patience.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(log.with_extension("log.1").metadata().unwrap().len(), much.len() as u64);
    runtime.stop(&workload.id).await.unwrap();
    let rest = std::fs::read_to_string(&log).unwrap();
    assert!(!rest.contains('\0') && !rest.contains('x'.to_string().repeat(100).as_str()), "it is written at its start");
}
