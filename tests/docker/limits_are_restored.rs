//! Limits that somebody changes on a running container return to the declared ones.

use bollard::models::{ContainerInspectResponse, ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use serde_json::{Value, json};

use super::engine;
use super::environment::{Environment, Run, json as shown, remove, run_of};

use crate::fixtures::compose::{wait_ready, wait_until};

/// Returns everything that an update of a container can change.
fn limits(container: &ContainerInspectResponse) -> Value {
    let container = shown(container);
    let fields = [
        "Memory",
        "MemorySwap",
        "MemoryReservation",
        "NanoCpus",
        "CpuQuota",
        "CpuPeriod",
        "CpuShares",
        "CpusetCpus",
        "CpusetMems",
        "BlkioWeight",
        "RestartPolicy",
    ];
    let mut limits: Value = fields.map(|field| (field, container["HostConfig"][field].clone())).into_iter().collect();
    // Without a limit, engines show none, 0 or -1.
    limits["PidsLimit"] = json!(container["HostConfig"]["PidsLimit"].as_i64().unwrap_or(0).max(0));
    limits
}

/// Returns the run of the container and its limits, of one inspection: during a replacement the name
/// passes from one container to another.
fn run_with_limits(env: &Environment) -> Option<(Run, Value)> {
    let container = env.inspect()?;
    Some((run_of(&container)?, limits(&container)))
}

/// Updates the running container and waits until its limits are as before. Returns the run then.
fn restored(env: &Environment, what: &str, run: &Run, update: ContainerUpdateBody) -> Run {
    let (found, before) = run_with_limits(env).unwrap();
    assert_eq!(found, *run, "it was restarted before {what} was changed");
    engine::with_docker(async |docker| docker.update_container(&run.0, update).await.unwrap());
    let restored = wait_until(
        || format!("{what} to be restored"),
        || run_with_limits(env).filter(|(_, limits)| *limits == before).map(|(run, _)| run),
    );
    wait_ready(env.port);
    restored
}

fn update() -> ContainerUpdateBody {
    ContainerUpdateBody::default()
}

fn restart(name: RestartPolicyNameEnum, retries: Option<i64>) -> Option<RestartPolicy> {
    Some(RestartPolicy { name: Some(name), maximum_retry_count: retries })
}

#[test]
fn limits_set_without_declared_ones_are_removed() {
    let _shared = engine::shared();
    let env = Environment::new("unlimited");
    let _compose = env.up("");
    let (mut run, defaults) = run_with_limits(&env).unwrap();
    let own = [("Memory", 512 << 20), ("MemorySwap", 1 << 30), ("PidsLimit", 256)];
    assert_eq!(own.map(|(name, _)| defaults[name].as_i64()), own.map(|(_, amount)| Some(amount)));
    for (what, body, in_place) in [
        ("memory", ContainerUpdateBody { memory: Some(64 << 20), memory_swap: Some(128 << 20), ..update() }, true),
        ("unlimited swap", ContainerUpdateBody { memory_swap: Some(-1), ..update() }, true),
        ("memory reservation", ContainerUpdateBody { memory_reservation: Some(32 << 20), ..update() }, false),
        ("cpus", ContainerUpdateBody { nano_cpus: Some(500_000_000), ..update() }, false),
        ("cpu quota", ContainerUpdateBody { cpu_quota: Some(50_000), ..update() }, false),
        ("cpu shares", ContainerUpdateBody { cpu_shares: Some(512), ..update() }, false),
        ("cpu set", ContainerUpdateBody { cpuset_cpus: Some("0".into()), ..update() }, false),
        ("memory nodes", ContainerUpdateBody { cpuset_mems: Some("0".into()), ..update() }, false),
        ("pids limit", ContainerUpdateBody { pids_limit: Some(50), ..update() }, true),
        ("unlimited pids", ContainerUpdateBody { pids_limit: Some(-1), ..update() }, true),
        (
            "restart policy",
            ContainerUpdateBody { restart_policy: restart(RestartPolicyNameEnum::ON_FAILURE, Some(3)), ..update() },
            true,
        ),
    ] {
        let before = run;
        run = restored(&env, what, &before, body);
        assert_eq!(run == before, in_place, "{what}");
    }
    env.assert_unchanged(&run);
}

#[test]
fn declared_limits_are_restored_in_place() {
    let _shared = engine::shared();
    let env = Environment::new("limited");
    let resources = "  resources: {requests: {cpu: 250m, memory: 32Mi}, limits: {cpu: 500m, memory: 64Mi}}\n";
    let compose = env.up(resources);
    let run = env.run().unwrap();
    for (what, body) in [
        ("memory", ContainerUpdateBody { memory: Some(48 << 20), ..update() }),
        ("memory swap", ContainerUpdateBody { memory_swap: Some(256 << 20), ..update() }),
        ("unlimited swap", ContainerUpdateBody { memory_swap: Some(-1), ..update() }),
        ("memory reservation", ContainerUpdateBody { memory_reservation: Some(16 << 20), ..update() }),
        ("cpus", ContainerUpdateBody { nano_cpus: Some(100_000_000), ..update() }),
        ("cpu shares", ContainerUpdateBody { cpu_shares: Some(512), ..update() }),
        (
            "restart policy",
            ContainerUpdateBody { restart_policy: restart(RestartPolicyNameEnum::NO, None), ..update() },
        ),
    ] {
        assert_eq!(restored(&env, what, &run, body), run, "{what}; its output:\n{}", compose.output());
    }
    env.assert_unchanged(&run);
}

#[test]
fn container_of_an_earlier_version_is_kept() {
    let _shared = engine::shared();
    let env = Environment::new("earlier");
    let compose = env.up("  resources: {limits: {memory: 64Mi}}\n");
    let before = env.run().unwrap();
    compose.stop();
    let original = env.inspect().unwrap();
    let id = engine::with_docker(async |docker| {
        let mut body: bollard::models::ContainerCreateBody =
            serde_json::from_value(serde_json::to_value(original.config.unwrap()).unwrap()).unwrap();
        body.host_config = original.host_config;
        // Earlier versions did not write this label, nor compare these limits, for which engines
        // have defaults.
        assert!(body.labels.as_mut().unwrap().remove("mai.dev/comparison").is_some());
        let host = body.host_config.as_mut().unwrap();
        (host.memory_swap, host.pids_limit) = (Some(-1), Some(2048));
        remove(&docker, &before.0).await;
        let options: bollard::query_parameters::CreateContainerOptions =
            bollard::query_parameters::CreateContainerOptionsBuilder::new().name("mai-earlier").build();
        let id = docker.create_container(Some(options), body).await.unwrap().id;
        docker.start_container(&id, None::<bollard::query_parameters::StartContainerOptions>).await.unwrap();
        id
    });
    let home = env.workspace.state.join("instances/earlier");
    std::fs::write(home.join(format!("made-{id}")), "").unwrap();
    let earlier = env.run().unwrap();
    let _compose = env.compose();
    env.wait_for("Ready");
    wait_ready(env.port);
    env.assert_unchanged(&earlier);
}
