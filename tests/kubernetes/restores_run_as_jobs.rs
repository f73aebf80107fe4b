//! Restores and swaps as Jobs of the cluster, started by the test itself: on the claims of a server
//! that runs or is scaled to zero, and on claims that no pod has used yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use mai_operator::contract::job::{
    BackupSource, Choice, Destination, Order, Outcome, RestoreOrder, RestoreReport, Store, Subject, SwapOrder, SwapStep,
};
use mai_operator::core::{InstanceId, Job, JobState, Storage};
use mai_operator::runtime::kubernetes::{KubernetesOptions, KubernetesRuntime, OperatorPlace};
use mai_operator::runtime::{Apply, Observe};
use rusqlite::Connection;
use rustix::process::Signal;
use secrecy::SecretString;
use serde_json::json;

use super::backups_run_as_jobs::{job_objects, request};
use super::cluster::{self, cluster};
use super::environment::Environment;
use super::gate::Gate;
use super::images;
use super::operator::Operator;
use super::requests::{self, answer, claim_directory};

use crate::fixtures::s3::{COPIES, Place};

const RESTORE: &str = "20261201-020000-1f2e3d";

/// A runtime without an operator.
struct Jobs<'a> {
    env: &'a Environment,
    operator: &'a Operator,
    runtime: tokio::runtime::Runtime,
    kubernetes: KubernetesRuntime,
}

impl<'a> Jobs<'a> {
    fn new(env: &'a Environment, operator: &'a Operator) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let kubernetes = runtime.block_on(async {
            let config = Kubeconfig::read_from(cluster().kubeconfig()).unwrap();
            let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
            let options = KubernetesOptions {
                namespaces: [env.namespace.clone()].into(),
                ingress_namespaces: [].into(),
                operator_place: OperatorPlace::Outside,
                asks_versions: false,
                tries_differences: false,
                helper_image: Some(images::own().to_owned()),
                refusal_interval: Duration::from_secs(60),
                on_watch_error: Arc::new(|_| ()),
                warnings: tokio::sync::mpsc::unbounded_channel().0,
            };
            let kubernetes = KubernetesRuntime::open(kube::Client::try_from(config).unwrap(), options).await;
            kubernetes.all_listed().await;
            kubernetes
        });
        Self { env, operator, runtime, kubernetes }
    }

    fn id(&self, name: &str) -> InstanceId {
        let uid = self.env.kubectl(&["get", &format!("mai/{name}"), "-o", "jsonpath={.metadata.uid}"]);
        InstanceId { namespace: self.env.namespace.clone(), name: name.to_owned(), uid }
    }

    /// Restores the newest backup of `abc` into an instance.
    fn restore(&self, name: &str, store: Store, secrets: &BTreeMap<String, SecretString>) -> RestoreReport {
        let id = self.id(name);
        let order = Order::Restore(RestoreOrder {
            id: RESTORE.parse().unwrap(),
            instance: Subject { namespace: id.namespace.clone(), name: id.name.clone(), uid: id.uid.clone() },
            source: BackupSource {
                destination: Destination { name: "there".to_owned(), store, retention: None },
                namespace: id.namespace.clone(),
                name: "abc".to_owned(),
                choice: Choice::Latest,
                identity: None,
            },
            database: None,
            keeps_data: false,
        });
        match self.run(&id, RESTORE, order, secrets) {
            Outcome::Restored(report) => report,
            outcome => panic!("{outcome:?}"),
        }
    }

    fn swap(&self, name: &str, job: &str, step: SwapStep) -> Outcome {
        let order = SwapOrder { id: job.parse().unwrap(), restore: RESTORE.parse().unwrap(), step };
        self.run(&self.id(name), job, Order::Swap(order), &BTreeMap::new())
    }

    /// Runs a job to its outcome.
    fn run(&self, id: &InstanceId, name: &str, order: Order, secrets: &BTreeMap<String, SecretString>) -> Outcome {
        let job = Job {
            name: name.to_owned(),
            image: None,
            order,
            secrets: secrets.clone(),
            storage: Storage { confined: true, ..Storage::default() },
            directories: Vec::new(),
        };
        self.runtime.block_on(self.kubernetes.start_job(id, &job)).unwrap();
        let state = || self.runtime.block_on(self.kubernetes.observe(id, None)).unwrap().jobs.current;
        let outcome = self.env.wait_until(
            self.operator,
            || format!("an ended job; it is {:?}", state()),
            || match state().map(|job| job.state) {
                Some(JobState::Ended(outcome)) => Some(outcome),
                Some(JobState::Lost(cause)) => panic!("{cause}"),
                _ => None,
            },
        );
        self.runtime.block_on(self.kubernetes.remove_job(id, name, &outcome)).unwrap();
        self.env.wait_until(
            self.operator,
            || "the job to go".into(),
            || job_objects(self.env).is_empty().then_some(()),
        );
        outcome
    }
}

fn tables(data: &Path) -> i64 {
    let connection = Connection::open(data.join("mai.db")).unwrap();
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap()
}

#[test]
fn claims_are_restored_whether_a_pod_uses_them_or_not() {
    let _shared = cluster::shared();
    let env = Environment::new("restore-jobs");
    env.kubectl(&["label", "namespace", &env.namespace, "pod-security.kubernetes.io/enforce=restricted"]);
    let gate = Gate::to_bucket(&env);
    let bucket = Place::bucket(&format!("http://{}", gate.address), COPIES, "full", "")
        .with(|s3| s3.region = Some("us-east-1".to_owned()));
    let secret = |name: &str| {
        let file = bucket.directory.path().join("secrets").join(name);
        (name.to_owned(), std::fs::read_to_string(file).unwrap().into())
    };
    let operator = requests::operator(&env);
    let own = format!("  image: {}\n  openRouter: {{mock: true}}\n", images::own());
    env.apply(&env.document("abc", &format!("{own}{}", gate.destination(COPIES))));
    env.apply(&env.document("xyz", &format!("{own}  suspend: true\n")));
    env.wait_ready(&operator, "abc");
    env.wait_for_reason(&operator, "xyz", "Ready", "Suspended");
    request(&env, "night", "abc");
    assert_eq!(answer(&env, &operator, "maibackup/night")["phase"], "Completed");
    env.wait_until(&operator, || "the job to go".into(), || job_objects(&env).is_empty().then_some(()));
    operator.send(Signal::KILL);

    // Beside the server, and then in its place.
    let jobs = Jobs::new(&env, &operator);
    let pod = env.pod("abc").unwrap();
    let report = jobs.restore("abc", Store::Volume, &BTreeMap::new());
    assert!(report.databases >= 1 && report.backup.is_some(), "{report:?}");
    assert_eq!(env.pod("abc").unwrap(), pod);
    let data = claim_directory(&env, "mai-abc-data");
    let restored = data.join(".mai-restore").join(RESTORE);
    let expected = tables(&restored.join("new"));
    let Outcome::Failed { message } = jobs.swap("abc", "20261201-030000-000001", SwapStep::Forward) else {
        panic!("the server has the data open")
    };
    assert!(message.contains("in use by another process"), "{message}");
    env.kubectl(&["scale", "deployment/mai-abc", "--replicas=0"]);
    env.wait_until(&operator, || "the server to end".into(), || env.pod("abc").is_none().then_some(()));
    std::fs::write(data.join("newer"), "x").unwrap();
    assert_eq!(jobs.swap("abc", "20261201-030000-000002", SwapStep::Forward), Outcome::Swapped);
    assert_eq!((tables(&data), data.join("newer").exists()), (expected, false));
    assert!(restored.join("former/newer").exists());
    env.kubectl(&["scale", "deployment/mai-abc", "--replicas=1"]);
    env.kubectl(&["rollout", "status", "deployment/mai-abc", "--timeout=120s"]);

    // Claims of a client that never ran, from the bucket.
    let claims = env.get("pvc/mai-xyz-data").unwrap();
    assert_eq!(claims["status"]["phase"], json!("Pending"), "the class of the tests binds claims at their first use");
    let report = jobs.restore("xyz", bucket.destination.store.clone(), &BTreeMap::from(["id", "secret"].map(secret)));
    assert_eq!(report.remarks, [format!("it is the data of {}/abc", env.namespace)]);
    assert_eq!(jobs.swap("xyz", "20261201-030000-000003", SwapStep::Forward), Outcome::Swapped);
    assert_eq!(tables(&claim_directory(&env, "mai-xyz-data")), expected);
}
