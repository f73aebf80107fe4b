//! Promise: a change that does not become ready is taken back, told, and not tried again until the document changes.

use std::time::Duration;

use serde_json::{Value, json};

use super::cluster;
use super::operator::Operator;
use super::secrets::own_secrets;
use super::stage::Stage;

/// A ready instance that is looked at often.
fn ready(stage: &Stage, start_period: &str) -> Operator {
    ready_with(stage, start_period, "")
}

fn ready_with(stage: &Stage, start_period: &str, more: &str) -> Operator {
    stage.apply(&stage.fixture("abc", more).replace("startPeriod: 20s", &format!("startPeriod: {start_period}")));
    let operator = stage.operator_with(&["--resync", "1s"]);
    stage.wait_ready(&operator, "abc");
    operator
}

fn told_as_rolled_back(stage: &Stage, operator: &Operator, why: &str) {
    let message = stage.wait_for_reason(operator, "abc", "Ready", "RolledBack");
    assert!(message.contains(why) && message.contains("change the document to try again"), "{message}");
    let status = &stage.get("mai/abc").unwrap()["status"];
    assert!(status["rejected"]["why"].as_str().is_some_and(|told| told.contains(why)), "{status}");
    let (stalled, reason, _) = stage.condition("abc", "Stalled").unwrap();
    assert_eq!((stalled.as_str(), reason.as_str()), ("True", "RolledBack"));
}

/// What was declared before serves, and goes on serving although it is looked at often.
fn stays_with_the_former(stage: &Stage, operator: &Operator) {
    let pod = stage.wait_until(
        operator,
        || "the former server".into(),
        || {
            stage.read("abc", "/name").filter(|name| name == "abc")?;
            stage.pod("abc")
        },
    );
    let (status, version) =
        (stage.get("mai/abc").unwrap()["status"].clone(), stage.resource_version("deployment/mai-abc"));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.pod("abc"), Some(pod), "it was tried again");
    assert_eq!(stage.get("mai/abc").unwrap()["status"], status);
    assert_eq!(stage.resource_version("deployment/mai-abc"), version);
}

fn told(server: &Value, name: &str) -> Value {
    json!({"displayName": name, "server": server})
}

#[test]
fn a_server_that_does_not_become_ready_is_rolled_back_until_the_document_changes() {
    let _shared = cluster::shared();
    let stage = Stage::new("never-ready");
    let operator = ready(&stage, "4s");
    let slow = json!({"env": [{"name": "FIXTURE_READY", "value": "8"}]});
    stage.patch("abc", &told(&slow, "next"));
    told_as_rolled_back(&stage, &operator, "not ready");
    stays_with_the_former(&stage, &operator);

    // Giving it more time is a change of the document, too.
    stage.patch("abc", &json!({"health": {"startPeriod": "40s"}}));
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.read("abc", "/name").as_deref(), Some("next"));
    assert_eq!(stage.get("mai/abc").unwrap()["status"]["rejected"], Value::Null);
}

#[test]
fn what_is_edited_or_removed_beside_a_server_that_was_put_back_comes_back_and_the_server_goes_on() {
    let _shared = cluster::shared();
    let stage = Stage::new("put-back");
    let operator = ready(&stage, "4s");
    stage.patch("abc", &told(&json!({"env": [{"name": "FIXTURE_READY", "value": "never"}]}), "next"));
    told_as_rolled_back(&stage, &operator, "not ready");
    stays_with_the_former(&stage, &operator);
    let (pod, status) = (stage.pod("abc"), stage.get("mai/abc").unwrap()["status"].clone());
    let template = || stage.get("deployment/mai-abc").unwrap()["spec"]["template"].clone();
    let (served, policy) = (template(), stage.get("networkpolicy/mai-abc").unwrap()["spec"].clone());

    stage.kubectl(&["delete", "service", "mai-abc"]);
    stage.kubectl(&["patch", "networkpolicy/mai-abc", "--type=merge", "-p", r#"{"spec": {"egress": [{}]}}"#]);
    stage.kubectl(&["patch", "deployment/mai-abc", "--type=merge", "-p", r#"{"spec": {"revisionHistoryLimit": 9}}"#]);
    stage.wait_until(
        &operator,
        || "all of it to come back".into(),
        || {
            stage.get("service/mai-abc")?;
            let [policy_now, deployment] = ["networkpolicy/mai-abc", "deployment/mai-abc"].map(|what| stage.get(what));
            let history = deployment?["spec"]["revisionHistoryLimit"].clone();
            (policy_now?["spec"] == policy && history == 2).then_some(())
        },
    );
    // Off its labels no watch tells of it.
    stage.kubectl(&["label", "deployment/mai-abc", "mai.dev/instance-"]);
    let label = || stage.get("deployment/mai-abc")?["metadata"]["labels"].get("mai.dev/instance").cloned();
    stage.wait_until(&operator, || "the label to come back".into(), label);
    stays_with_the_former(&stage, &operator);
    assert_eq!((stage.pod("abc"), template()), (pod, served));
    assert_eq!(stage.get("mai/abc").unwrap()["status"], status);
}

#[test]
fn a_server_that_ends_by_itself_is_rolled_back_with_its_last_words() {
    let _shared = cluster::shared();
    let stage = Stage::new("ending");
    let operator = ready(&stage, "60s");
    let ending =
        json!({"env": [{"name": "FIXTURE_EXIT", "value": "3:0"}, {"name": "FIXTURE_READY", "value": "never"}]});
    stage.patch("abc", &told(&ending, "next"));
    told_as_rolled_back(&stage, &operator, "the server ended with exit code 3");
    stays_with_the_former(&stage, &operator);
}

#[test]
fn an_image_that_cannot_be_had_is_rolled_back_and_another_one_taken() {
    let _shared = cluster::shared();
    let stage = Stage::new("no-image");
    let operator = ready(&stage, "60s");
    stage.patch("abc", &json!({"displayName": "next", "image": "mai-nothing:7"}));
    told_as_rolled_back(&stage, &operator, "its image cannot be had");
    stays_with_the_former(&stage, &operator);
    stage.patch("abc", &json!({"image": super::images::FIXTURE_NEXT}));
    stage.wait_ready(&operator, "abc");
    assert_eq!(stage.read("abc", "/name").as_deref(), Some("next"));
    let instance = stage.get("mai/abc").unwrap();
    assert_eq!((&instance["status"]["version"], &instance["status"]["rejected"]), (&json!("2"), &Value::Null));
}

#[test]
fn secret_values_of_a_server_that_was_taken_back_go_with_it() {
    let _shared = cluster::shared();
    let stage = Stage::new("taken-back");
    stage.kubectl(&["create", "secret", "generic", "upstream", "--from-literal=a=sk-one", "--from-literal=b=sk-two"]);
    let operator = ready_with(&stage, "4s", "  openRouter: {apiKeySecretRef: {name: upstream, key: a}}\n");
    let secrets = own_secrets(&stage);
    let next = json!({
        "openRouter": {"apiKeySecretRef": {"key": "b"}},
        "server": {"env": [{"name": "FIXTURE_READY", "value": "never"}]},
    });
    stage.patch("abc", &next);
    told_as_rolled_back(&stage, &operator, "not ready");
    stage.wait_until(
        &operator,
        || format!("{:?} to be all", own_secrets(&stage)),
        || (own_secrets(&stage) == secrets).then_some(()),
    );
    stays_with_the_former(&stage, &operator);
    assert_eq!(own_secrets(&stage), secrets);

    // The values that serve are still where a new pod finds them.
    let pod = stage.pod("abc").unwrap();
    stage.kubectl(&["delete", "pod", "--selector=mai.dev/instance=abc"]);
    stage.wait_until(
        &operator,
        || "the next pod of the former server".into(),
        || {
            stage.pod("abc").filter(|now| *now != pod)?;
            stage.read("abc", "/secret/OPENAI_API_KEY").filter(|served| served == "sk-one")
        },
    );
}
