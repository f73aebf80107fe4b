//! A server full of clients: started together, looked at cheaply, repaired at once. The figures are printed; the bounds are loose, because
//! tests share their machine.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bollard::query_parameters::{EventsOptionsBuilder, KillContainerOptions};
use futures::TryStreamExt;
use mai_operator::reconcile::{desired, references};
use mai_operator::runtime::docker::{DockerOptions, DockerRuntime};
use mai_operator::runtime::{Ground, InstanceId, Presence, Runtime, Workload};

use super::engine;
use super::proxy::{Cut, Proxy};
use super::stage::Stage;

use crate::fixtures::compose::{wait_ready, wait_until};

const CLIENTS: usize = 20;

fn workload(stage: &Stage, uid: &str) -> Workload {
    let document: serde_json::Value = serde_saphyr::from_str(&stage.document("fixture:1", "")).unwrap();
    let instance = serde_json::from_value(mai_operator::api::check(&document, None).unwrap()).unwrap();
    let secrets: BTreeMap<_, _> = references(&instance, Ground::Server)
        .into_iter()
        .map(|reference| (reference.clone(), "sk-or-v1-fixture".into()))
        .collect();
    let id = InstanceId { namespace: "default".into(), name: stage.name.clone(), uid: uid.into() };
    desired(&instance, id, &secrets, &"session".into(), Ground::Server).unwrap()
}

#[test]
fn twenty_clients_cost_one_list_and_twenty_looks_a_pass_and_are_repaired_at_once() {
    let _alone = engine::alone();
    let stages: Vec<Stage> = (0..CLIENTS).map(|number| Stage::new(&format!("client-{number:02}"))).collect();
    let first = &stages[0];
    first.place.write_secret("upstream", "key", "sk-or-v1-fixture");
    for stage in &stages {
        first.place.write(&format!("{}.yaml", stage.name), &stage.document("fixture:1", ""));
    }
    let begun = Instant::now();
    let compose = first.compose();
    stages.iter().for_each(|stage| wait_ready(stage.port));
    println!("{CLIENTS} clients from zero: {:?}", begun.elapsed());
    stages.iter().for_each(|stage| drop(first.place.wait_for_reason(&stage.name, "Ready", "Ready")));

    let victim = &stages[7];
    let before = victim.run().unwrap();
    let killed = Instant::now();
    engine::by_hand(async |docker| docker.kill_container(&before.0, None::<KillContainerOptions>).await.unwrap());
    let after = wait_until(|| "the repair".into(), || victim.run().filter(|run| *run != before));
    let state = victim.inspect().unwrap().state.unwrap();
    let time = |text: Option<String>| text.unwrap().parse::<jiff::Timestamp>().unwrap();
    println!(
        "killed, ended, started: {:?} from end to start, {:?} in all",
        time(state.started_at).duration_since(time(state.finished_at)),
        killed.elapsed()
    );
    assert!(killed.elapsed() < Duration::from_secs(10), "it was left to the resync");
    assert_eq!(after.0, before.0);
    compose.stop();

    // What a pass over all of them costs.
    let proxy = Proxy::start(Cut::Never);
    let workloads: Vec<Workload> = stages
        .iter()
        .map(|stage| {
            let container = stage.inspect().unwrap();
            let labels = container.config.unwrap().labels.unwrap();
            workload(stage, &labels["mai.dev/uid"])
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
        let options = |host: String| DockerOptions { state_dir: first.place.state.clone(), host: Some(host) };
        let counted = DockerRuntime::open(options(proxy.host())).await.unwrap();
        pass(&counted).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let reads = proxy.reads();
        pass(&counted).await;
        let reads = proxy.reads() - reads;
        assert!(reads <= CLIENTS + 2, "a pass takes {reads} reads");
        assert_eq!(proxy.changes(), Vec::<String>::new());
        drop(counted);

        let direct = DockerRuntime::open(options(engine::host())).await.unwrap();
        pass(&direct).await;
        let mut times = Vec::new();
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begun = Instant::now();
            pass(&direct).await;
            times.push(begun.elapsed());
        }
        times.sort();
        println!("a pass over {CLIENTS} clients: {reads} reads, {:?} (median of 10, best {:?})", times[5], times[0]);
        assert!(times[0] < Duration::from_millis(200), "{times:?}");
    });
}

#[test]
fn an_upgrade_of_all_has_two_at_a_time_away() {
    let _shared = engine::shared();
    let stages: Vec<Stage> = (0..6).map(|number| Stage::new(&format!("upgrade-{number}"))).collect();
    let place = &stages[0].place;
    place.write_secret("upstream", "key", "sk-or-v1-fixture");
    let declare = |image: &str| {
        for stage in &stages {
            place.write(&format!("{}.yaml", stage.name), &stage.document(image, ""));
        }
    };
    declare("fixture:1");
    let _compose = stages[0].compose();
    stages.iter().for_each(|stage| drop(place.wait_for_reason(&stage.name, "Ready", "Ready")));
    let runs: Vec<_> = stages.iter().map(|stage| stage.run().unwrap()).collect();
    let begun = jiff::Timestamp::now();
    declare("fixture:2");
    for (stage, run) in stages.iter().zip(&runs) {
        stage.wait_for_another(run);
        wait_until(|| format!("one container of {}", stage.name), || (stage.containers().len() == 1).then_some(()));
    }

    let filters = HashMap::from([("type", vec!["container"]), ("event", vec!["die", "start"])]);
    let (since, until) = (begun.as_second().to_string(), (jiff::Timestamp::now().as_second() + 1).to_string());
    let events = EventsOptionsBuilder::new().since(&since).until(&until).filters(&filters).build();
    let events: Vec<_> = engine::by_hand(async |docker| docker.events(Some(events)).try_collect().await.unwrap());
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
    assert_eq!((stops, away), (stages.len(), 0), "{changes:?}");
    assert!(most <= 2, "{most} were away at once: {changes:?}");
}
