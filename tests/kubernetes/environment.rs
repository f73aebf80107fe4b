//! A namespace for each test, with kubectl and the operator in it.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cluster::{Cluster, cluster};
use super::images;
use super::operator::Operator;

use crate::fixtures::compose::http_to;

/// Longest time to wait for anything, so long that a loaded machine fails no test.
const PATIENCE: Duration = Duration::from_secs(180);

pub struct Environment {
    cluster: &'static Cluster,
    pub namespace: String,
}

impl Environment {
    /// Creates a namespace with the name of the test, because the tests share a cluster.
    pub fn new(test: &str) -> Self {
        let env = Self { cluster: cluster(), namespace: format!("test-{test}-{}", std::process::id()) };
        env.kubectl(&["create", "namespace", &env.namespace]);
        env
    }

    /// Starts `mai operator` outside the cluster, for this namespace alone.
    pub fn operator(&self) -> Operator {
        self.operator_with(&[])
    }

    pub fn operator_with(&self, arguments: &[&str]) -> Operator {
        let operator = self.start_operator(arguments);
        operator.wait_ready();
        operator
    }

    /// Starts an operator without waiting for its readiness.
    pub fn start_operator(&self, arguments: &[&str]) -> Operator {
        let mut all = vec!["--namespaces", &self.namespace, "--lease-namespace", &self.namespace];
        all.extend(arguments);
        Operator::start(self.cluster.kubeconfig(), &all)
    }

    /// Returns the output of kubectl, or its error message.
    pub fn try_kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(arguments);
        let output = self.cluster.kubectl(&all, input);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments, "").unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    /// Returns the reasons of the events about instances.
    pub fn event_reasons(&self) -> String {
        let about = "--field-selector=involvedObject.kind=MaiInstance";
        self.kubectl(&["get", "events", about, "-o", "jsonpath={.items[*].reason}"])
    }

    pub fn apply(&self, documents: &str) {
        self.try_kubectl(&["apply", "-f", "-"], documents).unwrap_or_else(|error| panic!("{error}\n{documents}"));
    }

    /// Returns the message with which the API server refuses documents.
    pub fn refusal(&self, documents: &str) -> String {
        match self.try_kubectl(&["apply", "-f", "-"], documents) {
            Ok(output) => panic!("it is accepted: {output}\n{documents}"),
            Err(error) => error,
        }
    }

    /// Returns a document with further lines below `spec:`.
    pub fn document(&self, name: &str, more: &str) -> String {
        format!(
            "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {{name: {name}}}\nspec:\n  displayName: {name}\n{more}"
        )
    }

    /// Returns a document for the fixture image (`tests/docker/fixture/server.rs`) with short probe
    /// intervals. Unless it says otherwise, another image is neither backed up nor waited for: the
    /// fixture has no program that makes backups.
    pub fn fixture(&self, name: &str, more: &str) -> String {
        let image = images::fixture();
        let upgrade = if more.contains("upgrade:") { "" } else { "  upgrade: {backupFirst: false, settle: 0s}\n" };
        let health = "  health: {interval: 1s, timeout: 1s, startPeriod: 20s}\n";
        self.document(name, &format!("  image: {image}\n{health}{upgrade}{more}"))
    }

    /// Changes the spec with `kubectl patch`.
    pub fn patch(&self, name: &str, spec: &Value) {
        let patch = serde_json::json!({ "spec": spec }).to_string();
        self.kubectl(&["patch", "maiinstance", name, "--type=merge", "--patch", &patch]);
    }

    /// Returns the uid of the pod, if there is exactly one.
    pub fn pod(&self, name: &str) -> Option<String> {
        let [pod] = <[Value; 1]>::try_from(self.pods(name)).ok()?;
        Some(pod["metadata"]["uid"].as_str()?.to_owned())
    }

    /// Returns the pods of a server.
    fn pods(&self, name: &str) -> Vec<Value> {
        self.list(&["pods"], &format!("app.kubernetes.io/name=mai,mai.dev/instance={name}"))
    }

    /// Returns an object such as `deployment/mai-abc`, or `None` if it does not exist.
    pub fn get(&self, what: &str) -> Option<Value> {
        self.cluster.api().get(&self.namespace, what)
    }

    /// Returns all objects of these kinds with labels.
    pub fn list(&self, kinds: &[&str], labels: &str) -> Vec<Value> {
        self.cluster.api().list(&self.namespace, kinds, labels)
    }

    /// Returns all objects of an instance as `Kind/name` with their resourceVersion.
    pub fn children(&self, instance: &str) -> Vec<(String, String)> {
        const KINDS: [&str; 12] = [
            "deployments",
            "statefulsets",
            "services",
            "serviceaccounts",
            "networkpolicies",
            "poddisruptionbudgets",
            "persistentvolumeclaims",
            "secrets",
            "configmaps",
            "ingresses",
            "jobs",
            "cronjobs",
        ];
        let label = format!("app.kubernetes.io/managed-by=mai-operator,mai.dev/instance={instance}");
        let text = |item: &Value, pointer: &str| item.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        let mut children: Vec<_> = (self.list(&KINDS, &label).iter())
            .map(|item| {
                let name = format!("{}/{}", text(item, "/kind"), text(item, "/metadata/name"));
                (name, text(item, "/metadata/resourceVersion"))
            })
            .collect();
        children.sort();
        children
    }

    /// Returns a condition as (status, reason, message).
    pub fn condition(&self, name: &str, kind: &str) -> Option<(String, String, String)> {
        let instance = self.get(&format!("maiinstance/{name}"))?;
        let condition = instance["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)?.clone();
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("reason"), text("message")))
    }

    pub fn resource_version(&self, what: &str) -> String {
        self.get(what).unwrap()["metadata"]["resourceVersion"].as_str().unwrap().to_owned()
    }

    /// Waits until a condition has a reason, and returns its message.
    pub fn wait_for_reason(&self, operator: &Operator, name: &str, kind: &str, reason: &str) -> String {
        self.wait_until(
            operator,
            || format!("{kind} of {name} to be {reason}"),
            || self.condition(name, kind).filter(|(_, found, _)| found == reason).map(|(_, _, message)| message),
        )
    }

    /// Waits like `kubectl wait --for=condition=Ready`: for the status true at the current
    /// generation.
    pub fn wait_ready(&self, operator: &Operator, name: &str) {
        self.wait_until(
            operator,
            || format!("{name} to be ready"),
            || {
                let instance = self.get(&format!("maiinstance/{name}"))?;
                let ready = instance["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready")?.clone();
                let now = ready["observedGeneration"] == instance["metadata"]["generation"];
                (now && ready["status"] == "True").then_some(())
            },
        );
    }

    /// Repeats an attempt until it succeeds. Panics with a description of the namespace if it does
    /// not in time.
    pub fn wait_until<T>(
        &self,
        operator: &Operator,
        what: impl Fn() -> String,
        mut attempt: impl FnMut() -> Option<T>,
    ) -> T {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(found) = attempt() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("waited in vain for {}\n{}\n--- operator\n{}", what(), self.describe(), operator.output())
    }

    /// Repeats an attempt that needs no operator until it succeeds.
    pub fn wait_quietly<T>(&self, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(found) = attempt() {
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("waited in vain for {what}\n{}", self.describe())
    }

    /// Sends a request to an instance through its Service, whose address is reachable from the
    /// tests. `None` without an answer: a Service leads to a new pod a moment after that is ready.
    pub fn ask(&self, name: &str, method: &str, path: &str, headers: &str, body: &str) -> Option<(u16, String)> {
        let service = self.get(&format!("service/mai-{name}"))?;
        let address = service["spec"]["clusterIP"].as_str()?.parse().ok()?;
        http_to(SocketAddr::new(address, 8080), method, path, headers, body).ok()
    }

    /// Sends a request until it is answered.
    pub fn answer(
        &self,
        operator: &Operator,
        name: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        self.wait_until(
            operator,
            || format!("an answer of {name} to {method} {path}"),
            || self.ask(name, method, path, headers, body),
        )
    }

    /// Returns the body of a GET that answers 200.
    pub fn read(&self, name: &str, path: &str) -> Option<String> {
        self.ask(name, "GET", path, "", "").filter(|(status, _)| *status == 200).map(|(_, body)| body)
    }

    /// Waits until a GET answers 200 with this body.
    pub fn wait_served(&self, operator: &Operator, name: &str, path: &str, expected: &str) {
        self.wait_until(
            operator,
            || format!("{expected:?} at {path} of {name}; it answers {:?}", self.read(name, path)),
            || self.read(name, path).filter(|served| served == expected),
        );
    }

    /// Waits until an instance has no pod.
    pub fn wait_no_pod(&self, operator: &Operator, name: &str) {
        self.wait_until(
            operator,
            || format!("the end of the pod of {name}"),
            || self.pods(name).is_empty().then_some(()),
        );
    }

    /// Applies a ResourceQuota, and waits until the cluster keeps to it.
    pub fn apply_quota(&self, operator: &Operator, name: &str, resource: &str, most: u32) {
        self.apply(&format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: {name}}}\nspec: {{hard: {{{resource}: '{most}'}}}}\n"
        ));
        // Until its status is there, nothing is refused.
        self.wait_until(
            operator,
            || format!("the quota {name}"),
            || {
                let status = self.get(&format!("resourcequota/{name}"))?["status"].clone();
                (status["hard"][resource].is_string() && status["used"][resource].is_string()).then_some(())
            },
        );
    }

    /// Waits until something has not changed during several passes of an operator with a short resync
    /// interval, and returns it: some changes of a cluster come a moment after a server is ready.
    pub fn wait_settled<T: PartialEq + Debug>(&self, operator: &Operator, what: impl Fn() -> T) -> T {
        let last = RefCell::new(None);
        self.wait_until(
            operator,
            || format!("no change any more; the last is {:?}", last.borrow()),
            || {
                let found = what();
                self.wait_passes(operator, 4.0);
                last.replace(Some(what()));
                last.borrow().as_ref().is_some_and(|last| *last == found).then_some(found)
            },
        )
    }

    /// Waits until an operator has reconciled instances this many times again.
    pub fn wait_passes(&self, operator: &Operator, more: f64) {
        let before = operator.passes();
        self.wait_until(operator, || format!("{more} passes"), || (operator.passes() >= before + more).then_some(()));
    }

    fn describe(&self) -> String {
        let mut description = String::new();
        for (title, arguments) in [
            ("instances", &["get", "maiinstances", "-o", "yaml"][..]),
            ("objects", &["get", "all,persistentvolumeclaims,secrets,networkpolicies,leases", "-o", "wide"]),
            ("pods", &["describe", "pods"]),
            ("events", &["get", "events", "--sort-by=.lastTimestamp"]),
            ("log", &["logs", "--selector=app.kubernetes.io/name=mai", "--tail=30", "--prefix"]),
        ] {
            let output = self.try_kubectl(arguments, "").unwrap_or_else(|error| error);
            let _ = writeln!(description, "--- {title}\n{output}");
        }
        description
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // The operator that would remove the finalizers may have ended with the test.
        if let Ok(instances) = self.try_kubectl(&["get", "maiinstances", "-o", "name"], "") {
            let _ = self.try_kubectl(&["delete", "maiinstances", "--all", "--wait=false"], "");
            for instance in instances.lines() {
                let none = ["patch", instance, "--type=merge", "--patch={\"metadata\":{\"finalizers\":null}}"];
                let _ = self.try_kubectl(&none, "");
            }
        }
        let _ = self.try_kubectl(&["delete", "namespace", &self.namespace, "--wait=false"], "");
    }
}
