//! A change that does not become ready is rolled back, reported and not retried until the document
//! changes.

use serde_json::{Value, json};

use super::cluster;
use super::environment::Environment;
use super::operator::Operator;
use super::secret_changes_reach_servers::instance_secrets;

/// Starts an operator with a short resync interval and waits until its instance is ready.
fn start_ready(env: &Environment, start_period: &str) -> Operator {
    start_ready_with(env, start_period, "")
}

fn start_ready_with(env: &Environment, start_period: &str, more: &str) -> Operator {
    env.apply(&env.fixture("abc", more).replace("startPeriod: 20s", &format!("startPeriod: {start_period}")));
    let operator = env.operator_with(&["--resync", "500ms"]);
    env.wait_ready(&operator, "abc");
    operator
}

fn assert_rolled_back(env: &Environment, operator: &Operator, why: &str) {
    let message = env.wait_for_reason(operator, "abc", "Ready", "RolledBack");
    assert!(message.contains(why) && message.contains("change the document to try again"), "{message}");
    let status = &env.get("mai/abc").unwrap()["status"];
    assert!(status["rejected"]["why"].as_str().is_some_and(|why_rejected| why_rejected.contains(why)), "{status}");
    let (stalled, reason, _) = env.condition("abc", "Stalled").unwrap();
    assert_eq!((stalled.as_str(), reason.as_str()), ("True", "RolledBack"));
}

/// Checks that the previous server serves, and keeps doing so over several passes.
fn assert_keeps_previous_server(env: &Environment, operator: &Operator) {
    let pod = env.wait_until(
        operator,
        || "the former server".into(),
        || {
            env.read("abc", "/name").filter(|name| name == "abc")?;
            env.pod("abc")
        },
    );
    // The status of a Deployment, and with it its version, follows that of its pod a moment later.
    env.wait_settled(operator, || {
        (env.get("mai/abc").unwrap()["status"].clone(), env.resource_version("deployment/mai-abc"))
    });
    assert_eq!(env.pod("abc"), Some(pod), "it was tried again");
}

fn spec(server: &Value, name: &str) -> Value {
    json!({"displayName": name, "server": server})
}

#[test]
fn unready_server_is_rolled_back_until_the_next_edit() {
    let _shared = cluster::shared();
    let env = Environment::new("never-ready");
    let operator = start_ready(&env, "4s");
    let slow = json!({"env": [{"name": "FIXTURE_READY", "value": "8"}]});
    env.patch("abc", &spec(&slow, "next"));
    assert_rolled_back(&env, &operator, "not ready");
    assert_keeps_previous_server(&env, &operator);

    // A longer start period is a change of the document as well.
    env.patch("abc", &json!({"health": {"startPeriod": "40s"}}));
    env.wait_ready(&operator, "abc");
    env.wait_served(&operator, "abc", "/name", "next");
    assert_eq!(env.get("mai/abc").unwrap()["status"]["rejected"], Value::Null);
}

#[test]
fn auxiliary_objects_are_repaired_during_rollback() {
    let _shared = cluster::shared();
    let env = Environment::new("put-back");
    let operator = start_ready(&env, "4s");
    env.patch("abc", &spec(&json!({"env": [{"name": "FIXTURE_READY", "value": "never"}]}), "next"));
    assert_rolled_back(&env, &operator, "not ready");
    assert_keeps_previous_server(&env, &operator);
    let (pod, status) = (env.pod("abc"), env.get("mai/abc").unwrap()["status"].clone());
    let template = || env.get("deployment/mai-abc").unwrap()["spec"]["template"].clone();
    let (served, policy) = (template(), env.get("networkpolicy/mai-abc").unwrap()["spec"].clone());

    env.kubectl(&["delete", "service", "mai-abc"]);
    env.kubectl(&["patch", "networkpolicy/mai-abc", "--type=merge", "-p", r#"{"spec": {"egress": [{}]}}"#]);
    env.kubectl(&["patch", "deployment/mai-abc", "--type=merge", "-p", r#"{"spec": {"revisionHistoryLimit": 9}}"#]);
    env.wait_until(
        &operator,
        || "all of it to come back".into(),
        || {
            env.get("service/mai-abc")?;
            let [policy_now, deployment] = ["networkpolicy/mai-abc", "deployment/mai-abc"].map(|what| env.get(what));
            let history = deployment?["spec"]["revisionHistoryLimit"].clone();
            (policy_now?["spec"] == policy && history == 10).then_some(())
        },
    );
    // Without its labels no watch includes it.
    env.kubectl(&["label", "deployment/mai-abc", "mai.dev/instance-"]);
    let label = || env.get("deployment/mai-abc")?["metadata"]["labels"].get("mai.dev/instance").cloned();
    env.wait_until(&operator, || "the label to come back".into(), label);
    assert_keeps_previous_server(&env, &operator);
    assert_eq!((env.pod("abc"), template()), (pod, served));
    assert_eq!(env.get("mai/abc").unwrap()["status"], status);
}

#[test]
fn exiting_server_is_rolled_back_with_its_last_log_line() {
    let _shared = cluster::shared();
    let env = Environment::new("ending");
    let operator = start_ready(&env, "60s");
    let ending =
        json!({"env": [{"name": "FIXTURE_EXIT", "value": "3:0"}, {"name": "FIXTURE_READY", "value": "never"}]});
    env.patch("abc", &spec(&ending, "next"));
    assert_rolled_back(&env, &operator, "the server ended with exit code 3");
    assert_keeps_previous_server(&env, &operator);
}

#[test]
fn unavailable_image_is_rolled_back_until_another_is_set() {
    let _shared = cluster::shared();
    let env = Environment::new("no-image");
    let operator = start_ready(&env, "60s");
    env.patch("abc", &json!({"displayName": "next", "image": "mai-nothing:7"}));
    assert_rolled_back(&env, &operator, "its image could not be pulled");
    assert_keeps_previous_server(&env, &operator);
    env.patch("abc", &json!({"image": super::images::FIXTURE_NEXT}));
    env.wait_ready(&operator, "abc");
    env.wait_served(&operator, "abc", "/name", "next");
    env.wait_until(
        &operator,
        || "its version".into(),
        || {
            let status = env.get("mai/abc")?["status"].clone();
            (status["version"] == "fixture" && status["rejected"].is_null()).then_some(())
        },
    );
}

#[test]
fn secret_values_of_a_rejected_server_are_removed() {
    let _shared = cluster::shared();
    let env = Environment::new("taken-back");
    env.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=a=sk-one", "--from-literal=b=sk-two"]);
    let operator = start_ready_with(&env, "4s", "  openRouter: {apiKeySecretRef: {name: upstream, key: a}}\n");
    let secrets = instance_secrets(&env);
    let next = json!({
        "openRouter": {"apiKeySecretRef": {"key": "b"}},
        "server": {"env": [{"name": "FIXTURE_READY", "value": "never"}]},
    });
    env.patch("abc", &next);
    assert_rolled_back(&env, &operator, "not ready");
    env.wait_until(
        &operator,
        || format!("{:?} to be all", instance_secrets(&env)),
        || (instance_secrets(&env) == secrets).then_some(()),
    );
    assert_keeps_previous_server(&env, &operator);
    assert_eq!(instance_secrets(&env), secrets);

    // The values of the running server still exist for a new pod.
    let pod = env.pod("abc").unwrap();
    env.kubectl(&["delete", "pod", "--selector=mai.dev/instance=abc"]);
    env.wait_until(
        &operator,
        || "the next pod of the former server".into(),
        || {
            env.pod("abc").filter(|now| *now != pod)?;
            env.read("abc", "/secret/OPENAI_API_KEY").filter(|served| served == "sk-one")
        },
    );
}
