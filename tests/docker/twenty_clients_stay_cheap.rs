//! Twenty clients start together, are observed at little cost and repaired.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::query_parameters::{EventsOptionsBuilder, KillContainerOptions};
use futures::TryStreamExt;
use mai_operator::core::{InstanceId, Platform, Presence, Workload};
use mai_operator::reconcile::{Generated, desired, references};
use mai_operator::runtime::Observe;
use mai_operator::runtime::docker::{DockerOptions, DockerRuntime};

use super::engine;
use super::environment::Environment;
use super::proxy::{Cut, Proxy};

use crate::fixtures::compose::{wait_ready, wait_until};

const CLIENTS: usize = 20;

fn workload(env: &Environment, uid: &str) -> Workload {
    let document: serde_json::Value = serde_saphyr::from_str(&env.document("fixture:1", "")).unwrap();
    let instance = serde_json::from_value(mai_operator::api::check(&document, None, None).unwrap()).unwrap();
    let secrets: BTreeMap<_, _> = references(&instance, &Platform::DOCKER)
        .into_iter()
        .map(|reference| (reference.clone(), "sk-or-v1-fixture".into()))
        .collect();
    let id = InstanceId { namespace: "default".into(), name: env.name.clone(), uid: uid.into() };
    desired(&instance, id, &secrets, &Generated::new("session".into()), &Platform::DOCKER).unwrap()
}

#[test]
fn twenty_clients_cost_one_list_per_pass() {
    let _alone = engine::alone();
    let envs: Vec<Environment> = (0..CLIENTS).map(|number| Environment::new(&format!("client-{number:02}"))).collect();
    let first = &envs[0];
    first.workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
    for env in &envs {
        first.workspace.write(&format!("{}.yaml", env.name), &env.document("fixture:1", ""));
    }
    let compose = first.compose_by_events();
    envs.iter().for_each(|env| wait_ready(env.port));
    envs.iter().for_each(|env| drop(first.workspace.wait_for_reason(&env.name, "Ready", "Ready")));

    let victim = &envs[7];
    let before = victim.run().unwrap();
    engine::with_docker(async |docker| docker.kill_container(&before.0, None::<KillContainerOptions>).await.unwrap());
    let after = wait_until(|| "the repair".into(), || victim.run().filter(|run| *run != before));
    assert_eq!(after.0, before.0);
    compose.stop();

    // The cost of a pass over all of them.
    let proxy = Proxy::start(Cut::Never);
    let workloads: Vec<Workload> = envs
        .iter()
        .map(|env| {
            let container = env.inspect().unwrap();
            let labels = container.config.unwrap().labels.unwrap();
            workload(env, &labels["mai.dev/uid"])
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pass = async |docker: &DockerRuntime| {
        let looks = workloads.iter().map(|workload| docker.observe(&workload.id, Some(workload)));
        for observed in futures::future::join_all(looks).await {
            assert!(matches!(observed.unwrap().presence, Presence::Running { .. }));
        }
    };
    runtime.block_on(async {
        let options = |host: String| DockerOptions { state_dir: first.workspace.state.clone(), host: Some(host) };
        let counted = DockerRuntime::open(options(proxy.host())).await.unwrap();
        pass(&counted).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let reads = proxy.reads();
        pass(&counted).await;
        let reads = proxy.reads() - reads;
        assert!(reads <= CLIENTS + 2, "a pass takes {reads} reads");
        assert_eq!(proxy.changes(), Vec::<String>::new());
    });
}

#[test]
fn upgrade_of_all_clients_replaces_two_at_a_time() {
    let _shared = engine::shared();
    let envs: Vec<Environment> = (0..6).map(|number| Environment::new(&format!("upgrade-{number}"))).collect();
    let workspace = &envs[0].workspace;
    workspace.write_secret("upstream", "key", "sk-or-v1-fixture");
    let declare = |image: &str| {
        for env in &envs {
            workspace.write(&format!("{}.yaml", env.name), &env.document(image, ""));
        }
    };
    declare("fixture:1");
    let _compose = envs[0].compose();
    envs.iter().for_each(|env| drop(workspace.wait_for_reason(&env.name, "Ready", "Ready")));
    let runs: Vec<_> = envs.iter().map(|env| env.run().unwrap()).collect();
    let begun = jiff::Timestamp::now();
    declare("fixture:2");
    for (env, run) in envs.iter().zip(&runs) {
        env.wait_for_another(run);
        wait_until(|| format!("one container of {}", env.name), || (env.containers().len() == 1).then_some(()));
    }

    let filters = HashMap::from([("type", vec!["container"]), ("event", vec!["die", "start"])]);
    let (since, until) = (begun.as_second().to_string(), (jiff::Timestamp::now().as_second() + 1).to_string());
    let events = EventsOptionsBuilder::new().since(&since).until(&until).filters(&filters).build();
    let events: Vec<_> = engine::with_docker(async |docker| docker.events(Some(events)).try_collect().await.unwrap());
    let mut changes: Vec<(i64, String)> = events
        .into_iter()
        .filter_map(|event| {
            let name = event.actor?.attributes?.remove("name")?;
            name.starts_with("mai-upgrade-").then_some((event.time_nano?, event.action?))
        })
        .filter(|(at, _)| i128::from(*at) > begun.as_nanosecond())
        .collect();
    changes.sort();
    let (mut away, mut most, mut stops) = (0_i32, 0, 0);
    for (_, action) in &changes {
        let stopped = action == "die";
        stops += usize::from(stopped);
        away += if stopped { 1 } else { -1 };
        most = most.max(away);
    }
    assert_eq!((stops, away), (envs.len(), 0), "{changes:?}");
    assert!(most <= 2, "{most} were away at once: {changes:?}");
}
