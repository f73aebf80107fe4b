//! `kubectl mai` shows status, plans, restarts and reports with the permissions of its user, and
//! reveals no secret.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};

use super::cluster::{self, cluster};
use super::environment::Environment;
use super::images;

use crate::fixtures::compose::wait_until;

/// The secrets of these tests, in each form in which they could leak.
const KEY: &str = "sk-or-v1-seeded-0123456789abcdef";
const KEY_ENCODED: &str = "c2stb3ItdjEtc2VlZGVkLTAxMjM0NTY3ODlhYmNkZWY=";
const BY_MISTAKE: &str = "seeded-in-the-open";

/// A user's machine with kubectl and the installed plugin, a link, alone on PATH.
struct PluginUser<'a> {
    env: &'a Environment,
    directory: tempfile::TempDir,
}

impl<'a> PluginUser<'a> {
    fn new(env: &'a Environment) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for link in ["kubectl-mai", "kubectl_complete-mai"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mai"), directory.path().join(link)).unwrap();
        }
        let kubectl = directory.path().join("kubectl");
        std::fs::write(&kubectl, cluster().kubectl_script()).unwrap();
        std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { env, directory }
    }

    /// Runs `kubectl mai …` in the namespace of the test; returns its exit code, standard output
    /// and standard error.
    fn mai(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = vec!["mai", arguments[0], "--namespace", &self.env.namespace];
        all.extend(&arguments[1..]);
        self.run("kubectl", &all)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(self.directory.path().join(program))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("PATH", format!("{}:/usr/bin:/bin", self.directory.path().display()))
            .env("KUBECONFIG", cluster().kubeconfig())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn output(&self, arguments: &[&str]) -> String {
        let (code, output, error) = self.mai(arguments);
        assert_eq!(code, 0, "kubectl mai {arguments:?}: {output}{error}");
        output
    }

    /// Writes a report; returns the output and the files in it. The last argument is its path.
    fn report(&self, arguments: &[&str]) -> (String, BTreeMap<String, String>) {
        let output = self.output(&[&["report"], arguments].concat());
        let archive = std::fs::File::open(self.directory.path().join(arguments.last().unwrap())).unwrap();
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(archive)).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().strip_prefix("mai-report/").unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            files.insert(path, text);
        }
        (output, files)
    }

    fn plan(&self, arguments: &[&str]) -> (i32, Value) {
        let mut all = vec!["plan", "--json"];
        all.extend(arguments);
        let (code, output, error) = self.mai(&all);
        (code, serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}{error}")))
    }
}

fn create_key(env: &Environment) {
    env.kubectl(&["create", "secret", "generic", "openrouter", &format!("--from-literal=api-key={KEY}")]);
}

fn document(env: &Environment, name: &str, image: &str, more: &str) -> String {
    let key = "  openRouter: {apiKeySecretRef: {name: openrouter, key: api-key}}\n";
    env.document(name, &format!("  image: {image}\n{key}{more}"))
}

/// Returns all objects of the namespace with their resourceVersion.
fn versions(env: &Environment) -> Vec<(String, String)> {
    const KINDS: &str = "maiinstances,deployments,services,serviceaccounts,secrets,persistentvolumeclaims,networkpolicies,poddisruptionbudgets,leases,ingresses";
    let list: Value = serde_json::from_str(&env.kubectl(&["get", KINDS, "-o", "json"])).unwrap();
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
fn status_and_restart_work_alongside_the_operator() {
    let _shared = cluster::shared();
    let env = Environment::new("plugin");
    create_key(&env);
    let operator = env.operator();
    env.apply(&document(&env, "abc", images::own(), ""));
    env.wait_ready(&operator, "abc");
    let user = PluginUser::new(&env);

    let row = user.output(&["status"]);
    let cells: Vec<&str> = row.lines().nth(1).unwrap().split_whitespace().take(3).collect();
    assert_eq!(cells, ["abc", "True", "Ready"], "{row}");
    assert!(user.output(&["status", "-A"]).contains(&env.namespace));
    let pod = env.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]);
    let wide = user.output(&["status", "abc", "-o", "wide"]);
    assert!(wide.contains(&pod) && wide.contains(images::OWN) && wide.contains("Scheduled"), "{wide}");
    let listed: Value = serde_json::from_str(&user.output(&["status", "-o", "json"])).unwrap();
    assert_eq!(listed["items"][0]["metadata"]["uid"], env.get("mai/abc").unwrap()["metadata"]["uid"]);
    let (code, _, error) = user.mai(&["status", "xyz"]);
    assert!(code == 1 && error.contains("there is no instance xyz in namespace"), "{code} {error}");

    assert!(user.output(&["logs", "abc"]).lines().count() > 1);
    assert_eq!(user.output(&["logs", "abc", "--tail", "1"]).lines().count(), 1);
    let (code, _, error) = user.mai(&["logs", "abc", "--previous"]);
    assert!(code == 1 && error.contains("previous terminated container"), "{code} {error}");
    assert!(user.output(&["exec", "abc", "--", "mai", "--version"]).starts_with("mai "));

    let (code, planned) = user.plan(&[]);
    assert_eq!((code, &planned["changes"]), (0, &json!(0)), "{planned}");
    let output = user.output(&["restart", "abc"]);
    assert!(output.contains("answers again after"), "{output}");
    println!("{output}");
    let restarted = env.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert!(restarted != pod && !restarted.contains(' '), "{pod} and then {restarted}");
    let (code, planned) = user.plan(&["abc"]);
    assert_eq!((code, &planned["changes"]), (0, &json!(0)), "{planned}");
    env.wait_ready(&operator, "abc");
    // Any pending work of the operator is done once it has reconciled another instance.
    env.apply(&document(&env, "other", images::own(), "  suspend: true\n"));
    env.wait_for_reason(&operator, "other", "Ready", "Suspended");
    let then = env.kubectl(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"]);
    assert_eq!(then, restarted, "the operator took it back");
}

#[test]
fn plugin_plan_lists_changes_by_field_and_writes_nothing() {
    let _shared = cluster::shared();
    let env = Environment::new("planned");
    create_key(&env);
    let operator = env.operator();
    env.apply(&document(&env, "abc", images::fixture(), ""));
    env.wait_ready(&operator, "abc");
    operator.stop();
    env.kubectl(&["patch", "mai", "abc", "--type=merge", "-p", r#"{"spec": {"displayName": "Other"}}"#]);
    env.kubectl(&["delete", "service", "mai-abc"]);
    env.apply(&document(&env, "new", images::fixture(), ""));
    env.apply(&env.document("lost", "  openRouter: {apiKeySecretRef: {name: nowhere, key: api-key}}\n"));
    let before = versions(&env);
    let user = PluginUser::new(&env);

    let (code, planned) = user.plan(&["abc"]);
    assert_eq!(code, 2, "{planned}");
    let abc = &planned["instances"][0];
    assert_eq!(abc["action"], "replace");
    let changes: BTreeMap<&str, &Value> =
        (abc["changes"].as_array().unwrap().iter()).map(|change| (change["field"].as_str().unwrap(), change)).collect();
    let name = changes.iter().find(|(field, _)| field.ends_with("env[WEBUI_NAME].value")).map(|(_, change)| *change);
    assert_eq!(name.map(|change| (&change["from"], &change["to"])), Some((&json!("abc"), &json!("Other"))), "{abc}");
    assert_eq!(changes["Service mai-abc"]["from"], "missing");

    let (code, planned) = user.plan(&["new"]);
    assert_eq!((code, &planned["instances"][0]["action"]), (2, &json!("start")), "{planned}");
    let (code, planned) = user.plan(&["lost"]);
    assert_eq!((code, &planned["instances"][0]["action"]), (1, &json!("blocked")), "{planned}");
    let (code, output, _) = user.mai(&["plan"]);
    assert!(
        code == 1 && output.contains("Secret nowhere is not in namespace") && output.contains("2 to change, 1 blocked"),
        "{output}"
    );
    assert!(!output.contains(KEY), "{output}");
    assert_eq!(user.mai(&["plan", "--unknown"]).0, 1, "2 would mean that something changes");

    assert_eq!(versions(&env), before, "a plan wrote something");
}

#[test]
fn report_contains_diagnostics_and_no_secrets() {
    let _shared = cluster::shared();
    let env = Environment::new("report");
    create_key(&env);
    let operator = env.operator();
    // The server writes its key to its log and exits, repeatedly.
    let variables = format!("[{{name: FIXTURE_EXIT, value: '7:0.3'}}, {{name: MY_TOKEN, value: {BY_MISTAKE}}}]");
    env.apply(&document(&env, "leaky", images::fixture(), &format!("  server: {{env: {variables}}}\n")));
    let log =
        || env.try_kubectl(&["logs", "deployment/mai-leaky", "--previous"], "").ok().filter(|log| log.contains(KEY));
    env.wait_until(&operator, || "the key to be in the log".to_owned(), log);
    env.wait_for_reason(&operator, "leaky", "Ready", "CrashLoop");
    let backs_off = || env.kubectl(&["get", "events"]).contains("BackOff").then_some(());
    env.wait_until(&operator, || "the kubelet to back off".to_owned(), backs_off);
    let user = PluginUser::new(&env);

    let (output, files) = user.report(&["leaky", "--output", "report.tar.gz"]);
    let archive = user.directory.path().join("report.tar.gz");
    assert_eq!(std::fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    for (path, text) in &files {
        assert!(output.contains(path.as_str()), "{path} is not listed: {output}");
        for secret in [KEY, KEY_ENCODED, BY_MISTAKE, "seeded"] {
            assert!(!text.contains(secret), "{secret} is in {path}: {text}");
        }
        let session = env.get("secret/mai-leaky-session").unwrap()["data"]["session-key"].clone();
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

    let (code, _, error) = user.mai(&["report", "leaky", "--output", "report.tar.gz"]);
    assert!(code == 1 && error.contains("cannot be written"), "nothing is written over: {error}");
}

/// Runs an operator in a pod of the namespace, for this and other namespaces.
fn operator_in_a_pod(env: &Environment, others: &[&Environment]) {
    let home = &env.namespace;
    let mut documents = vec![json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}})];
    let namespaces: Vec<&str> = [env].iter().chain(others).map(|env| env.namespace.as_str()).collect();
    for namespace in &namespaces {
        documents.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "operator", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": home}],
        }));
    }
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    documents.push(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "operator", "labels": {"app.kubernetes.io/part-of": "mai"}},
        "spec": {
            "serviceAccountName": "operator",
            "containers": [{
                "name": "operator", "image": images::own(), "args": ["operator"], "command": ["/usr/local/bin/mai"],
                "env": [
                    variable("MAI_NAMESPACES", &namespaces.join(",")), variable("POD_NAMESPACE", home), variable("POD_NAME", "operator"),
                    variable("MAI_LOG_FORMAT", "json"), variable("MAI_RESYNC", "2s"),
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
fn report_about_one_client_names_no_other() {
    let _shared = cluster::shared();
    let (env, elsewhere) = (Environment::new("one-client"), Environment::new("brightlabs"));
    operator_in_a_pod(&env, &[&elsewhere]);
    env.apply(&env.document("abc", "  suspend: true\n"));
    env.apply(&env.document("neighbour", "  suspend: true\n"));
    // The same name in another namespace is another client.
    elsewhere.apply(&elsewhere.document("abc", "  suspend: true\n"));
    // Until it has started, this is kubectl's error message.
    let log = || env.try_kubectl(&["logs", "operator"], "").unwrap_or_else(|not_yet| not_yet);
    let others = [format!("{}/neighbour", env.namespace), format!("{}/abc", elsewhere.namespace)];
    let ours = format!("{}/abc", env.namespace);
    let reports_suspended =
        |log: &str, of: &str| log.lines().any(|line| line.contains(of) && line.contains("Suspended"));
    wait_until(
        || format!("all of them in its log: {}", log()),
        || {
            let log = log();
            others.iter().chain([&ours]).all(|of| reports_suspended(&log, of)).then_some(())
        },
    );
    let user = PluginUser::new(&env);
    let (_, files) = user.report(&["abc", "--output", "one.tar.gz"]);
    for (path, text) in &files {
        for other in ["neighbour", "brightlabs"] {
            assert!(!text.contains(other), "{other} is in {path}: {text}");
        }
    }
    let output = &files["operator/logs/operator.log"];
    assert!(
        reports_suspended(output, &ours) && output.contains("leading") && output.contains("update in place"),
        "{output}"
    );
    assert!(files["operator/pods.yaml"].contains("MAI_NAMESPACES") && files["secrets.txt"].contains("mai-abc-session"));

    // A report about a whole namespace contains no other.
    let (_, files) = user.report(&["--output", "all.tar.gz"]);
    let output = &files["operator/logs/operator.log"];
    assert!(
        reports_suspended(output, &ours) && reports_suspended(output, &others[0]) && !output.contains("brightlabs"),
        "{output}"
    );
    assert!(files["secrets.txt"].contains("mai-neighbour-session"));
}

#[test]
fn plugin_is_found_by_kubectl_and_completes() {
    let _shared = cluster::shared();
    let env = Environment::new("completed");
    env.apply(&env.document("abc", ""));
    let user = PluginUser::new(&env);
    let (code, help, _) = user.run("kubectl", &["mai", "--help"]);
    assert!(code == 0 && help.contains("Usage: kubectl mai"), "{help}");
    let (code, listed, _) = user.run("kubectl", &["plugin", "list"]);
    assert!(code == 0 && listed.contains("kubectl-mai"), "{listed}");
    let completed = |words: &[&str]| {
        let (code, output, error) = user.run("kubectl_complete-mai", words);
        assert_eq!(code, 0, "{error}");
        output
    };
    let verbs = completed(&[""]);
    assert!(verbs.contains("restart\tStop the server") && verbs.ends_with(":4\n"), "{verbs}");
    assert_eq!(completed(&["re"]).lines().count(), 4, "report, restart, restore and the directive");
    assert!(completed(&["restore", "--des"]).starts_with("--destination\t"));
    for verb in ["status", "restore"] {
        let in_it = completed(&[verb, "--namespace", &env.namespace, ""]);
        assert!(in_it.starts_with("abc\n"), "{in_it}");
    }
    assert!(completed(&["logs", "--f"]).starts_with("--follow\t"));
}
