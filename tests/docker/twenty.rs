//! A server full of clients: started together, looked at cheaply, repaired at once. The figures are printed; the bounds are loose, because
//! tests share their machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bollard::query_parameters::KillContainerOptions;
use mai_operator::reconcile::{desired, references};
use mai_operator::runtime::docker::{DockerOptions, DockerRuntime};
use mai_operator::runtime::{Ground, InstanceId, Presence, Runtime, Workload};

use super::engine;
use super::proxy::{Cut, Proxy};
use super::stage::Stage;
use super::support::{wait_ready, wait_until};

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
    first.place.secret("upstream", "key", "sk-or-v1-fixture");
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
