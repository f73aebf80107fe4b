//! A server has its declared environment, places, port and limits, and nothing of the reconciler's; what it cannot have is named
//! before anything is started.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use mai_operator::runtime::process::LimitedBy;
use mai_operator::runtime::{EnvValue, Limits, Presence, Runtime, RuntimeError};

use crate::fixtures::measurement;
use crate::fixtures::ports::free_port;
use crate::fixtures::process::{self, PATIENCE, Place, is_ready, started, until, workload};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_reconcilers_environment_leaks_and_no_secret_is_on_the_command_line() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let mut workload = workload("abc", free_port());
    // A document that gives its server another's name, address or data is not followed in that.
    for name in ["MAI_INSTANCE_NAME", "MAI_STATE_DIR", "HOST", "PORT", "DATA_DIR", "MAI_EXIT_WITH_STDIN"] {
        workload.env.insert(name.to_owned(), EnvValue::Plain("8".to_owned()));
    }
    let pid = started(&place, &runtime, &workload).await;
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
        .filter(|target| target.starts_with('/') && !target.starts_with(place.state.to_str().unwrap()))
        .collect();
    assert!(open.iter().all(|target| target == "/dev/null"), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_with_the_name_of_its_holder_before_anything_is_started() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let workload = workload("abc", port);
    let me = std::process::id();
    let observed = runtime.observe(&workload.id, Some(&workload)).await.unwrap();
    assert!(observed.port_holder.as_ref().unwrap().ends_with(&format!("(process {me})")), "{observed:?}");
    let error = runtime.start(&workload).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::PortTaken { port: told, .. } if *told == port), "{error}");
    assert!(place.pids().is_empty());
    drop(listener);
    started(&place, &runtime, &workload).await;

    // One of our own is called by the name of its instance, also when the port is only wanted in exchange for another.
    let mut other = process::workload("other", free_port());
    let pid = started(&place, &runtime, &other).await;
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
async fn a_data_directory_that_cannot_be_written_is_named_before_anything_is_started() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let mut workload = workload("abc", free_port());
    let file = place.state.join("file");
    std::fs::write(&file, "").unwrap();
    workload.data_path = Some(file.join("data"));
    let error = runtime.start(&workload).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::NotWritable { .. }), "{error}");
    assert!(
        error.to_string().contains(&format!("{} of abc cannot be written", file.join("data").display())),
        "{error}"
    );
    assert!(place.pids().is_empty() && !place.log("abc").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_places_are_used_and_removed_only_when_nothing_runs() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let mut workload = workload("abc", free_port());
    let data = place.state.parent().unwrap().join("disk/abc");
    workload.data_path = Some(data.clone());
    started(&place, &runtime, &workload).await;
    assert!(data.join("mai.db").exists());
    let error = runtime.remove_data(&workload.id).await.unwrap_err().to_string();
    assert!(error.contains("still runs") && data.join("mai.db").exists(), "{error}");
    runtime.stop(&workload.id).await.unwrap();
    // A later reconciler has never seen the document, and removes the declared place all the same.
    drop(runtime);
    let runtime = place.runtime(false);
    runtime.remove_data(&workload.id).await.unwrap();
    assert!(!data.exists() && data.parent().unwrap().exists() && !place.state.join("instances/abc").exists());
    runtime.remove_data(&workload.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_limit_is_one_the_kernel_knows_of() {
    let place = Place::new();
    let runtime = place.runtime(false);
    let mut workload = workload("abc", free_port());
    workload.limits = Limits { cpu_millis: None, memory_bytes: Some(512 << 20) };
    let pid = started(&place, &runtime, &workload).await;
    let limit = match runtime.how_limited() {
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

/// The memory limit of the group in which a process is, whichever version of control groups keeps it.
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
async fn a_log_is_kept_short_while_its_server_goes_on_writing() {
    let place = Place::new();
    let workload = workload("abc", free_port());
    {
        let runtime = place.runtime(true);
        started(&place, &runtime, &workload).await;
    }
    let log = place.log("abc");
    let mut much = std::fs::read(&log).unwrap();
    much.resize(11 << 20, b'x');
    std::fs::write(&log, &much).unwrap();
    // Another reconciler keeps the log of a server it did not start.
    let runtime = place.runtime(true);
    until(&runtime, &workload, "ready", is_ready).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn twenty_servers_are_looked_at_in_no_time() {
    let _turn = measurement::turn().await;
    let place = Place::new();
    let runtime = place.runtime(false);
    let workloads: Vec<_> = (0..20).map(|n| workload(&format!("client{n}"), free_port())).collect();
    let began = Instant::now();
    let starts = workloads.iter().map(|workload| runtime.start(workload));
    futures::future::join_all(starts).await.into_iter().collect::<Result<(), _>>().unwrap();
    let spawned = began.elapsed();
    for workload in &workloads {
        until(&runtime, workload, "ready", is_ready).await;
    }
    println!("20 servers: started after {spawned:?}, ready after {:?}", began.elapsed());
    let fastest = {
        let mut passes = Vec::new();
        for _ in 0..10 {
            let pass = Instant::now();
            for workload in &workloads {
                runtime.observe(&workload.id, Some(workload)).await.unwrap();
            }
            passes.push(pass.elapsed());
        }
        passes.into_iter().min().unwrap()
    };
    println!("one pass over 20 servers: {fastest:?}");
    assert!(fastest < Duration::from_millis(10), "{fastest:?}");
    let stopping = Instant::now();
    runtime.shutdown().await.unwrap();
    println!("20 servers stopped in {:?}", stopping.elapsed());
    assert!(place.pids().is_empty());
}
