//! Promise: `kubectl mai` tells, plans, restarts and reports with the rights of whoever calls it, and gives no secret away.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use super::cluster::{self, cluster};
use super::images;
use super::stage::Stage;

use crate::fixtures::compose::wait_until;

/// The secrets of these tests, in each form in which they could be given away.
const KEY: &str = "sk-or-v1-seeded-0123456789abcdef";
const KEY_ENCODED: &str = "c2stb3ItdjEtc2VlZGVkLTAxMjM0NTY3ODlhYmNkZWY=";
const BY_MISTAKE: &str = "seeded-in-the-open";

/// A person's machine: kubectl and the link that is the whole installation of the plugin, alone on PATH.
struct Person<'a> {
    stage: &'a Stage,
    place: tempfile::TempDir,
}

impl<'a> Person<'a> {
    fn new(stage: &'a Stage) -> Self {
        let place = tempfile::tempdir().unwrap();
        for link in ["kubectl-mai", "kubectl_complete-mai"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mai"), place.path().join(link)).unwrap();
        }
        let kubectl = place.path().join("kubectl");
        std::fs::write(&kubectl, cluster().kubectl_script()).unwrap();
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { stage, place }
    }

    /// `kubectl mai …` in the namespace of the test: exit code, standard output, standard error.
    fn mai(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["mai", arguments[0], "--namespace", &self.stage.namespace];
        all.extend(&arguments[1..]);
        self.run("kubectl", &all)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(self.place.path().join(program))
            .args(arguments)
            .current_dir(self.place.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.place.path().display()))
            .env("KUBECONFIG", cluster().kubeconfig())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn says(&self, arguments: &[&str]) -> String {
        let (code, said, error) = self.mai(arguments);
        assert_eq!(code, 0, "kubectl mai {arguments:?}: {said}{error}");
        said
    }

    /// What a report says, and the files in it; the arguments end with where it is written.
    fn report(&self, arguments: &[&str]) -> (String, BTreeMap<String, String>) {
        let said = self.says(&[&["report"], arguments].concat());
        let archive = std::fs::File::open(self.place.path().join(arguments.last().unwrap())).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(archive)).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().strip_prefix("mai-report/").unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            files.insert(path, text);
        }
        (said, files)
    }

    fn plan(&self, arguments: &[&str]) -> (i32, Value) {
        let mut all = vec!["plan", "--json"];
        all.extend(arguments);
        let (code, said, error) = self.mai(&all);
        (code, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{error}")))
    }
}

fn with_key(stage: &Stage) {
    stage.kubectl(&["create", "secret", "generic", "openrouter", &format!("--from-literal=api-key={KEY}")]);
}

fn document(stage: &Stage, name: &str, image: &str, more: &str) -> String {
    let key = "  openRouter: {apiKeySecretRef: {name: openrouter, key: api-key}}\n";
    stage.document(name, &format!("  image: {image}\n{key}{more}"))
}

/// All objects of the namespace that anybody could have written to, with their versions.
fn everything(stage: &Stage) -> Vec<(String, String)> {
    const KINDS: &str = "maiinstances,deployments,services,serviceaccounts,secrets,persistentvolumeclaims,networkpolicies,poddisruptionbudgets,leases,ingresses";
    let list: Value = serde_json::from_str(&stage.kubectl(&["get", KINDS, "-o", "json"])).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |item: &Value| {
        (
            text(&item["kind"]) + "/" + item["metadata"]["name"].as_str().unwrap(),
            text(&item["metadata"]["resourceVersion"]),
        )
    };
    items.map(of).collect()
}

#[test]
fn a_person_sees_how_it_stands_and_restarts_it_without_the_operator_taking_that_back() {
    let _shared = cluster::shared();
    let stage = Stage::new("plugin");
    with_key(&stage);
    let operator = stage.operator();
    stage.apply(&document(&stage, "abc", images::own(), ""));
    stage.wait_ready(&operator, "abc");
    let person = Person::new(&stage);

    let row = person.says(&["status"]);
    let cells: Vec<&str> = row.lines().nth(1).unwrap().split_whitespace().take(3).collect();
    assert_eq!(cells, ["abc", "True", "Ready"], "{row}");
    assert!(person.says(&["status", "-A"]).contains(&stage.namespace));
    let pod = stage.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]);
    let wide = person.says(&["status", "abc", "-o", "wide"]);
    assert!(wide.contains(&pod) && wide.contains(images::OWN) && wide.contains("Scheduled"), "{wide}");
    let listed: Value = serde_json::from_str(&person.says(&["status", "-o", "json"])).unwrap();
    assert_eq!(listed["items"][0]["metadata"]["uid"], stage.get("mai/abc").unwrap()["metadata"]["uid"]);
    let (code, _, error) = person.mai(&["status", "xyz"]);
    assert!(code == 1 && error.contains("there is no instance xyz in namespace"), "{code} {error}");

    assert!(person.says(&["logs", "abc"]).lines().count() > 1);
    assert_eq!(person.says(&["logs", "abc", "--tail", "1"]).lines().count(), 1);
    let (code, _, error) = person.mai(&["logs", "abc", "--previous"]);
    assert!(code == 1 && error.contains("previous terminated container"), "{code} {error}");
    assert!(person.says(&["exec", "abc", "--", "mai", "--version"]).starts_with("mai "));

    let (code, planned) = person.plan(&[]);
    assert_eq!((code, &planned["changes"]), (0, &json!(0)), "{planned}");
    let said = person.says(&["restart", "abc"]);
    assert!(said.contains("answers again after"), "{said}");
    println!("{said}");
    let restarted = stage.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert!(restarted != pod && !restarted.contains(' '), "{pod} and then {restarted}");
    let (code, planned) = person.plan(&["abc"]);
    assert_eq!((code, &planned["changes"]), (0, &json!(0)), "{planned}");
    stage.wait_ready(&operator, "abc");
    // Whatever it had on its mind has been done once it has looked after something else.
    stage.apply(&document(&stage, "other", images::own(), "  suspend: true\n"));
    stage.wait_for_reason(&operator, "other", "Ready", "Suspended");
    let then = stage.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert_eq!(then, restarted, "the operator took it back");
}

#[test]
fn a_plan_says_what_would_change_by_field_and_writes_nothing() {
    let _shared = cluster::shared();
    let stage = Stage::new("planned");
    with_key(&stage);
    let operator = stage.operator();
    stage.apply(&document(&stage, "abc", images::fixture(), ""));
    stage.wait_ready(&operator, "abc");
    operator.stop();
    stage.kubectl(&["patch", "mai", "abc", "--type=merge", "-p", r#"{"spec": {"displayName": "Other"}}"#]);
    stage.kubectl(&["delete", "service", "mai-abc"]);
    stage.apply(&document(&stage, "new", images::fixture(), ""));
    stage.apply(&stage.document("lost", "  openRouter: {apiKeySecretRef: {name: nowhere, key: api-key}}\n"));
    let before = everything(&stage);
    let person = Person::new(&stage);

    let (code, planned) = person.plan(&["abc"]);
    assert_eq!(code, 2, "{planned}");
    let abc = &planned["instances"][0];
    assert_eq!(abc["action"], "replace");
    let changes: BTreeMap<&str, &Value> =
        (abc["changes"].as_array().unwrap().iter()).map(|change| (change["field"].as_str().unwrap(), change)).collect();
    let name = changes.iter().find(|(field, _)| field.ends_with("env[WEBUI_NAME].value")).map(|(_, change)| *change);
    assert_eq!(name.map(|change| (&change["from"], &change["to"])), Some((&json!("abc"), &json!("Other"))), "{abc}");
    assert_eq!(changes["Service mai-abc"]["from"], "missing");

    let (code, planned) = person.plan(&["new"]);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &json!("start")), "{planned}");
    let (code, planned) = person.plan(&["lost"]);
    assert_eq!((code, &planned["instances"][0]["action"]), (1, &json!("blocked")), "{planned}");
    let (code, said, _) = person.mai(&["plan"]);
    assert!(
        code == 1 && said.contains("Secret nowhere is not in namespace") && said.contains("2 to change, 1 blocked"),
        "{said}"
    );
    assert!(!said.contains(KEY), "{said}");
    assert_eq!(person.mai(&["plan", "--unknown"]).0, 1, "2 would mean that something changes");

    assert_eq!(everything(&stage), before, "a plan wrote something");
}

#[test]
fn a_report_holds_what_helps_and_no_secret() {
    let _shared = cluster::shared();
    let stage = Stage::new("report");
    with_key(&stage);
    let operator = stage.operator();
    // It writes its key into its log and ends, over and over.
    let env = format!("[{{name: FIXTURE_EXIT, value: '7:0.3'}}, {{name: MY_TOKEN, value: {BY_MISTAKE}}}]");
    stage.apply(&document(&stage, "leaky", images::fixture(), &format!("  server: {{env: {env}}}\n")));
    let log =
        || stage.try_kubectl(&["logs", "deployment/mai-leaky", "--previous"], "").ok().filter(|log| log.contains(KEY));
    stage.wait_until(&operator, || "the key to be in the log".to_owned(), log);
    stage.wait_for_reason(&operator, "leaky", "Ready", "CrashLoop");
    let backs_off = || stage.kubectl(&["get", "events"]).contains("BackOff").then_some(());
    stage.wait_until(&operator, || "the kubelet to back off".to_owned(), backs_off);
    let person = Person::new(&stage);

    let (said, files) = person.report(&["leaky", "--output", "report.tar.gz"]);
    let archive = person.place.path().join("report.tar.gz");
    assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    for (path, text) in &files {
        assert!(said.contains(path.as_str()), "{path} is not listed: {said}");
        for secret in [KEY, KEY_ENCODED, BY_MISTAKE, "seeded"] {
            assert!(!text.contains(secret), "{secret} is in {path}: {text}");
        }
        let session = stage.get("secret/mai-leaky-session").unwrap()["data"]["session-key"].clone();
        assert!(!text.contains(session.as_str().unwrap()), "the session key is in {path}");
    }
    let holds = |path: &str, expected: &str| {
        assert!(files[path].contains(expected), "{expected} is not in {path}: {}", files[path])
    };
    holds("instances.yaml", "kind: MaiInstance");
    holds("instances.yaml", "CrashLoop");
    holds("objects.yaml", "kind: Deployment");
    holds("objects.yaml", "kind: NetworkPolicy");
    holds("pods.yaml", "restartCount");
    holds("events.txt", "BackOff");
    holds("secrets.txt", "api-key");
    holds("nodes.txt", "Ready");
    holds("about.txt", env!("CARGO_PKG_VERSION"));
    let log = files.iter().find(|(path, _)| path.ends_with(".previous.log")).unwrap();
    assert!(log.1.contains("its key is [redacted]"), "{log:?}");

    let (code, _, error) = person.mai(&["report", "leaky", "--output", "report.tar.gz"]);
    assert!(code == 1 && error.contains("cannot be written"), "nothing is written over: {error}");
}

/// An operator in a pod of the namespace, looking after others as well.
fn operator_in_a_pod(stage: &Stage, others: &[&Stage]) {
    let home = &stage.namespace;
    let mut documents = vec![json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}})];
    let looked_after: Vec<&str> = [stage].iter().chain(others).map(|stage| stage.namespace.as_str()).collect();
    for namespace in &looked_after {
        documents.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "operator", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": home}],
        }));
    }
    let told = |name: &str, value: &str| json!({"name": name, "value": value});
    documents.push(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "operator", "labels": {"app.kubernetes.io/part-of": "mai"}},
        "spec": {
            "serviceAccountName": "operator",
            "containers": [{
                "name": "operator", "image": images::own(), "args": ["operator"], "command": ["/usr/local/bin/mai"],
                "env": [
                    told("MAI_NAMESPACES", &looked_after.join(",")), told("POD_NAMESPACE", home), told("POD_NAME", "operator"),
                    told("MAI_LOG_FORMAT", "json"), told("MAI_RESYNC", "2s"),
                ],
            }],
        },
    }));
    for document in documents {
        let namespace = document["metadata"]["namespace"].as_str().unwrap_or(home);
        let applied = cluster().kubectl(&["apply", "--namespace", namespace, "-f", "-"], &document.to_string());
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
}

#[test]
fn a_report_about_one_client_names_no_other() {
    let _shared = cluster::shared();
    let (stage, elsewhere) = (Stage::new("one-client"), Stage::new("brightlabs"));
    operator_in_a_pod(&stage, &[&elsewhere]);
    stage.apply(&stage.document("abc", "  suspend: true\n"));
    stage.apply(&stage.document("neighbour", "  suspend: true\n"));
    // The same name somewhere else is somebody else.
    elsewhere.apply(&elsewhere.document("abc", "  suspend: true\n"));
    // Until it has started, kubectl says that instead.
    let log = || stage.try_kubectl(&["logs", "operator"], "").unwrap_or_else(|not_yet| not_yet);
    let others = [format!("{}/neighbour", stage.namespace), format!("{}/abc", elsewhere.namespace)];
    let ours = format!("{}/abc", stage.namespace);
    let tells = |log: &str, of: &str| log.lines().any(|line| line.contains(of) && line.contains("Suspended"));
    wait_until(
        || format!("all of them in its log: {}", log()),
        || {
            let log = log();
            others.iter().chain([&ours]).all(|of| tells(&log, of)).then_some(())
        },
    );
    let person = Person::new(&stage);
    let (_, files) = person.report(&["abc", "--output", "one.tar.gz"]);
    for (path, text) in &files {
        for other in ["neighbour", "brightlabs"] {
            assert!(!text.contains(other), "{other} is in {path}: {text}");
        }
    }
    let said = &files["operator/logs/operator.log"];
    assert!(tells(said, &ours) && said.contains("leading") && said.contains("update in place"), "{said}");
    assert!(files["operator/pods.yaml"].contains("MAI_NAMESPACES") && files["secrets.txt"].contains("mai-abc-session"));

    // One about all of a namespace ends there.
    let (_, files) = person.report(&["--output", "all.tar.gz"]);
    let said = &files["operator/logs/operator.log"];
    assert!(tells(said, &ours) && tells(said, &others[0]) && !said.contains("brightlabs"), "{said}");
    assert!(files["secrets.txt"].contains("mai-neighbour-session"));
}

#[test]
fn it_is_found_by_kubectl_and_completed() {
    let _shared = cluster::shared();
    let stage = Stage::new("completed");
    stage.apply(&stage.document("abc", ""));
    let person = Person::new(&stage);
    let (code, help, _) = person.run("kubectl", &["mai", "--help"]);
    assert!(code == 0 && help.contains("Usage: kubectl mai"), "{help}");
    let (code, listed, _) = person.run("kubectl", &["plugin", "list"]);
    assert!(code == 0 && listed.contains("kubectl-mai"), "{listed}");
    let completed = |words: &[&str]| {
        let (code, said, error) = person.run("kubectl_complete-mai", words);
        assert_eq!(code, 0, "{error}");
        said
    };
    let verbs = completed(&[""]);
    assert!(verbs.contains("restart\tStop the server") && verbs.ends_with(":4\n"), "{verbs}");
    assert_eq!(completed(&["re"]).lines().count(), 3, "report, restart and the directive");
    let in_it = ["status", "--namespace", &stage.namespace, ""];
    assert!(completed(&in_it).starts_with("abc\n"), "{}", completed(&in_it));
    assert!(completed(&["logs", "--f"]).starts_with("--follow\t"));
}
